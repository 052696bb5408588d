"""ALBERT's pre-training on real windows and a small network."""

import jax
import numpy as np
import pytest

from plmjax.data.windows import DocSentences
from plmjax.errors import UserError
from plmjax.modules.albert import AlbertConfig
from plmjax.objectives.albert import AlbertPretraining
from plmjax.objectives.masked_lm import Masking
from tests.objectives.conftest import SMALL, bound
from tests.objectives.kit import corrupted, losses_of, windows_of

LENGTH, ROWS = 40, 32
OBJECTIVE = AlbertPretraining()
HIDING = AlbertPretraining(masking=Masking(strategy="ngrams", mask_share=1.0, random_share=0.0))


@pytest.fixture(scope="module")
def clean(split, vocabulary):
    return windows_of(OBJECTIVE, split, vocabulary, LENGTH, ROWS)


@pytest.fixture(scope="module")
def albert():
    return bound(
        AlbertConfig(**SMALL, max_positions=64, embedding_width=8, attention_dropout=0.0, heads=OBJECTIVE.heads)
    )


def places_of(split, tokens):
    """Where in the text these tokens stand."""
    text = np.asarray(split.tokens)
    return [
        start for start in range(len(text) - len(tokens) + 1) if (text[start : start + len(tokens)] == tokens).all()
    ]


def test_labels_say_the_order_and_both_texts_are_of_one_document(clean, split, vocabulary):
    """Not whether the second is random: a released default trained that."""
    seen = {0: 0, 1: 0}
    for tokens, segments, label in zip(clean["tokens"], clean["segments"], clean["sentence_label"], strict=True):
        first_sep, last = np.flatnonzero((tokens == vocabulary.sep) & (segments > 0))
        texts = tokens[1:first_sep], tokens[first_sep + 1 : last]
        if min(map(len, texts)) < 4:  # too short to be found at one place
            continue
        (first,), (second,) = (places_of(split, text) for text in texts)
        assert (second < first) == label
        documents = np.searchsorted(split.document_starts, [first, second], side="right")
        assert documents[0] == documents[1]
        seen[int(label)] += 1
    assert min(seen.values()) > 5


def test_runs_of_whole_words_are_hidden(clean, vocabulary):
    batch = corrupted(HIDING, vocabulary, clean)
    hidden = batch["tokens"] == vocabulary.mask
    special = vocabulary.is_special[clean["tokens"]]
    continues = ~vocabulary.word_start[clean["tokens"]][:, 1:] & ~special[:, 1:] & ~special[:, :-1]
    assert continues.any() and (hidden[:, 1:] == hidden[:, :-1])[continues].all()
    budget = np.maximum(1, np.round(0.15 * (clean["segments"] > 0).sum(1)))
    assert (hidden.sum(1) <= budget).all() and hidden.sum() > 0.7 * budget.sum()
    np.testing.assert_array_equal(hidden.sum(1), batch["weights"].sum(1))
    rows, places = np.nonzero(batch["weights"])
    restored = batch["tokens"].copy()
    restored[rows, batch["masked_positions"][rows, places]] = batch["targets"][rows, places]
    np.testing.assert_array_equal(restored, clean["tokens"])


def test_it_adds_masked_lm_and_sentence_order(clean, vocabulary, albert):
    assert OBJECTIVE.heads == ("token", "next_sentence") and OBJECTIVE.coefficients() == {}
    batch = corrupted(OBJECTIVE, vocabulary, clean)
    losses, metrics = losses_of(OBJECTIVE, albert, vocabulary)(batch)
    assert set(losses) == {"masked_lm", "sentence_order"} and losses["masked_lm"].weight == batch["weights"].sum()

    @jax.jit
    def logits(batch):
        return albert.next_sentence_logits(
            albert.encode(batch["tokens"], batch["token_types"], batch["positions"], batch["segments"])
        )

    log_p, label = np.asarray(jax.nn.log_softmax(logits(batch))), batch["sentence_label"]
    np.testing.assert_allclose(losses["sentence_order"].mean(), -log_p[np.arange(ROWS), label].mean(), rtol=1e-5)
    accuracy = (log_p.argmax(-1) == label).mean()
    np.testing.assert_allclose(metrics["sentence_order_accuracy"].mean(), accuracy, rtol=1e-6)
    np.testing.assert_allclose(metrics["sentence_order_positives"].mean(), label.mean(), rtol=1e-6)


def test_bad_settings_are_refused_in_a_sentence(vocabulary):
    config = AlbertConfig(max_positions=64)
    OBJECTIVE.check(config, "encoder", vocabulary, 64)
    with pytest.raises(UserError, match="`sentence_label`, which windows of DocSentences do not give"):
        AlbertPretraining(window=DocSentences()).check(config, "encoder", vocabulary, 64)
    nothing = AlbertPretraining()
    nothing.masking.strategies.ngrams.longest = 0
    with pytest.raises(UserError, match=r"ngrams.longest is 0; give at least 1 word"):
        nothing.check(config, "encoder", vocabulary, 64)
    with pytest.raises(UserError, match=r"masking.strategy is 'letters'; it must be one of tokens"):
        AlbertPretraining(masking=Masking(strategy="letters")).check(config, "encoder", vocabulary, 64)
