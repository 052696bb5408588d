"""Masks and sentinels: the texts' parts, and the networks' answers against a computation by hand."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.decode import GenerationConfig, fill
from plmjax.decode.generate_tokens import generate_tokens
from plmjax.errors import UserError
from plmjax.modules import Bound

from .conftest import SENTINELS, SIZE, WordTokenizer


def test_blanks_are_found_in_either_spelling() -> None:
    assert fill.blanks("a <extra_id_1> b<extra_id_0>") == [1, 0]
    assert fill.blanks("___ a ______b") == [0, 1]
    assert fill.blanks("snake_case __init__") == []
    with pytest.raises(UserError, match="mixes"):
        fill.blanks("a ___ b <extra_id_0>")


def test_spans_are_read_between_sentinels() -> None:
    sentinels = (99, 98, 97)
    assert fill.read_spans([5, 99, 10, 11, 98, 12, 97], sentinels) == {0: [10, 11], 1: [12], 2: []}
    # out of order, one missing, one twice
    assert fill.read_spans([97, 1, 99, 2, 97, 3], sentinels) == {2: [1], 0: [2]}
    assert fill.read_spans([], sentinels) == {}


def test_spans_go_into_the_text_and_nothing_else_changes() -> None:
    text = "The  <extra_id_0> in<extra_id_2>, ok?"
    assert fill.assemble(text, {0: "cat", 2: "side"}) == fill.FilledText("The  cat inside, ok?", ("cat", "side"))
    assert fill.assemble(text, {2: ""}) == fill.FilledText("The  <extra_id_0> in, ok?", (None, ""))
    assert fill.assemble("a ___ b ____", {0: "x"}).text == "a x b ____"
    assert fill.assemble(r"a ___", {0: r"\1"}).text == r"a \1"


def test_a_mask_gets_the_networks_probabilities(bert: Bound, words: WordTokenizer) -> None:
    first, second = fill.fill_mask(bert, words, "w10 [MASK] w30  <mask>", top_k=4)
    tokens_1L = np.asarray([[3, 10, 5, 30, 5, 4]])  # CLS, the text, SEP
    logits_LV = np.asarray(jax.jit(lambda tokens: bert.token_logits(bert.encode(tokens)))(tokens_1L))[0, :, :SIZE]
    for place, candidates in ((2, first), (4, second)):
        probabilities_V = np.exp(logits_LV[place] - logits_LV[place].max())
        probabilities_V /= probabilities_V.sum()
        best = np.argsort(-probabilities_V)[:4]
        assert [candidate.token for candidate in candidates] == [words.piece(token) for token in best]
        np.testing.assert_allclose([c.probability for c in candidates], probabilities_V[best], rtol=1e-3)


def test_texts_without_a_mask_or_too_long_are_refused(bert: Bound, gpt2: Bound, words: WordTokenizer) -> None:
    with pytest.raises(UserError, match=r"'w10' has no mask: write \[MASK\]"):
        fill.fill_mask(bert, words, "w10")
    positions = bert.config.max_positions
    with pytest.raises(UserError, match=rf"{positions + 1} tokens, special tokens included.* {positions} positions"):
        fill.fill_mask(bert, words, "[MASK] " * (positions - 1))
    with pytest.raises(UserError, match=r"GPT, decoder.*can't fill a mask"):
        fill.fill_mask(gpt2, words, "[MASK]")


def fond_of_sentinels(network: Bound) -> Bound:
    """The network with larger scores for sentinels."""
    head = network.params["token_head"]
    table_VD = jnp.asarray(head["embedding"]).at[jnp.asarray(SENTINELS)].multiply(4.0)
    return Bound(network.module, network.params | {"token_head": head | {"embedding": table_VD}})


def test_sentinels_are_filled_with_what_the_network_writes(t5: Bound, words: WordTokenizer) -> None:
    t5 = fond_of_sentinels(t5)
    text = "w10 <extra_id_0> w20 w30 <extra_id_1>"
    config = GenerationConfig(max_new_tokens=12)
    [[filled]] = fill.fill_sentinels(t5, words, [text], config)
    tokens_BL = np.asarray([[10, 99, 20, 30, 98, 1]])
    forbidden = [0, 2, 3, 4, 5]
    output = generate_tokens(t5, tokens_BL, max_new_tokens=12, eos=1, start=0, size=SIZE, forbidden=forbidden)
    spans = fill.read_spans([i for i in output.tokens[0].tolist() if i != 1], SENTINELS)
    assert filled == fill.assemble(text, {number: words.decode(span) for number, span in spans.items()})
    assert filled.spans != (None, None)
    assert fill.fill_sentinels(t5, words, ["w10 ___ w20 w30 ____"], config)[0][0].spans == filled.spans


def test_sentinels_that_cannot_be_filled_are_refused(t5: Bound, gpt2: Bound, words: WordTokenizer) -> None:
    with pytest.raises(UserError, match="has no blank"):
        fill.fill_sentinels(t5, words, ["w10"])
    with pytest.raises(UserError, match="<extra_id_3>, but the tokenizer has 3"):
        fill.fill_sentinels(t5, words, ["<extra_id_3>"])
    with pytest.raises(UserError, match=r"GPT, decoder.*can't fill sentinels"):
        fill.fill_sentinels(gpt2, words, ["___"])


def test_a_candidate_shows_whether_it_starts_a_word(bert: Bound, words: WordTokenizer, monkeypatch) -> None:
    vocabulary = replace(words.vocabulary, word_start=np.arange(words.vocabulary.padded_size) % 2 == 0)
    monkeypatch.setattr(words, "vocabulary", vocabulary)
    [candidates] = fill.fill_mask(bert, words, "w10 [MASK] w30", top_k=30)
    for candidate in candidates:
        if candidate.token.startswith("w"):
            assert candidate.starts_word == (int(candidate.token[1:]) % 2 == 0)
            assert str(candidate) == ("" if candidate.starts_word else "##") + candidate.token
        else:
            assert candidate.starts_word is None
    assert {candidate.starts_word for candidate in candidates} >= {True, False}
    assert str(fill.Candidate(" good", 0.5, True)) == "good" and str(fill.Candidate("[SEP]", 0.5)) == "[SEP]"
