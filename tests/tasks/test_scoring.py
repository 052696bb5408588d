"""Log-likelihoods against full logits by hand, and what they must not depend on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.modules import Bound
from plmjax.modules.adaptive import AdaptiveHead
from plmjax.tasks.framing import Instance
from plmjax.tasks.scoring import Score, Scorer, rounded
from plmjax.tasks.scoring_format import ScoringFormat
from tests.decode.conftest import SIZE, WordTokenizer
from tests.tasks.conftest import tiny

EOS, CLS, SEP, MASK, SENTINEL = 1, 3, 4, 5, 99
ASKING = {"t5": ScoringFormat(0, "sentinel"), "bart": ScoringFormat(1, "mask"), "xlm": ScoringFormat(language=1)}
NETWORKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": ("gpt", "tiny", {}),
    "bert": ("bert", "tiny", {}),
    "xlnet": ("xlnet", "tiny", {}),
    "t5": ("t5", "tiny_v1_1", {}),
    "bart": ("bart", "tiny", {}),
    "xlm": ("xlm", "tiny", {"num_languages": 3}),
    "transformer_xl": ("transformer_xl", "tiny", {"cutoffs": (40, 70)}),
}
REQUESTS = [
    Instance([], [10, 11, 12]),
    Instance([20, 21], [10]),
    Instance([20, 21, 22], [13, 14]),
    Instance([], [30, 31, 32, 33, 34]),
    Instance(list(range(10, 25)), [40, 41, 42, 43]),
]


@pytest.fixture(scope="module")
def scorers(words: WordTokenizer) -> dict[str, Scorer]:
    """16 tokens at once, so that all requests share a program."""
    made = {}
    for name, (family, variant, fields) in NETWORKS.items():
        made[name] = Scorer(tiny(family, variant, **fields), words, ASKING.get(name, ScoringFormat()), length=16)
    return made


def log_softmax(logits: Any) -> np.ndarray:
    """Over the tokens that exist."""
    logits = np.asarray(logits, np.float64)[..., :SIZE]
    return (
        logits
        - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - logits.max(-1)[..., None]
    )


def scored(logits_TV: Any, targets: Sequence[int]) -> Score:
    """Of states that each predict one of the targets."""
    log_p_TV = log_softmax(logits_TV)
    picked = log_p_TV[np.arange(len(targets)), targets]
    return Score(float(picked.sum()), len(targets), bool((picked == log_p_TV.max(-1)).all()))


def padded(rows: Sequence[Sequence[int]], count: int = 1) -> tuple[Any, Any]:
    """Tokens and segments [count, 16], so that every request runs the same program."""
    lengths = np.array([len(row) for row in rows] + [1] * (count - len(rows)))
    tokens = np.array([[*row, *[7] * (16 - len(row))] for row in rows] + [[7] * 16] * (count - len(rows)))
    return tokens, (np.arange(16)[None] < lengths[:, None]).astype(np.int32)


@lru_cache
def compiled(network: Bound, run: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(partial(run, network))


def decoder_logits(network: Bound, tokens: Any, segments: Any) -> Any:
    head = network.token_head(network.decode(tokens, None, segments))
    return head.logits() if not isinstance(head, AdaptiveHead) else whole_vocabulary(head)


def by_decoder(network: Bound, request: Instance) -> Score:
    context = list(request.context) or [EOS]
    tokens = [*context, *request.text][:-1][-16:]
    logits = compiled(network, decoder_logits)(*padded([tokens]))[0, : len(tokens)]
    return scored(logits[-len(request.text) :], request.text)


def whole_vocabulary(head: AdaptiveHead) -> Any:
    """The rows beyond the vocabulary have no probability in the last cluster."""
    *others, last = head.clusters
    missing = jnp.arange(last.table.shape[0]) + NETWORKS["transformer_xl"][2]["cutoffs"][-1] >= SIZE
    return AdaptiveHead((*others, last._replace(bias=jnp.where(missing, -1e30, last.bias)))).logits()


def masked_logits(network: Bound, tokens: Any, segments: Any, types: Any) -> Any:
    return network.token_logits(network.encode(tokens, types, None, segments))


def by_masking(network: Bound, request: Instance, language: int | None = None) -> Score:
    kept = list(request.context)[-(14 - len(request.text)) :]
    whole = [CLS, *kept, *request.text, SEP]
    positions = list(range(1 + len(kept), len(whole) - 1))
    tokens, segments = padded([[*whole[:place], MASK, *whole[place + 1 :]] for place in positions], 5)
    types = None if language is None else np.full_like(tokens, language)
    logits = compiled(network, masked_logits)(tokens, segments, types)
    return scored(logits[np.arange(len(positions)), positions], request.text)


def query_logits(network: Bound, tokens: Any, queries: Any) -> Any:
    hidden = jnp.broadcast_to((jnp.arange(16)[None] >= jnp.arange(16)[:, None])[None], (5, 16, 16))
    return network.token_logits(network.two_streams(tokens, hidden, queries).g)


def by_one_query(network: Bound, request: Instance) -> Score:
    """Each token with nothing of what follows it in the input, which proves that it was not read."""
    whole = [*list(request.context)[-(16 - len(request.text)) :], *request.text]
    positions = list(range(len(whole) - len(request.text), len(whole)))
    tokens, _ = padded([whole[:place] for place in positions], 5)
    queries = np.eye(16)[[*positions, *[0] * (5 - len(positions))]][:, None]
    return scored(compiled(network, query_logits)(tokens, queries)[: len(positions), 0], request.text)


def written_logits(network: Bound, shown: Any, segments: Any, written: Any) -> Any:
    return network.token_logits(network.decode(written, network.encode(shown, None, segments), segments))


def by_t5(network: Bound, request: Instance) -> Score:
    shown = padded([[*list(request.context)[-14:], SENTINEL, EOS]])
    written, _ = padded([[0, SENTINEL, *request.text[:-1]]])
    return scored(compiled(network, written_logits)(*shown, written)[0, 1 : 1 + len(request.text)], request.text)


def by_bart(network: Bound, request: Instance) -> Score:
    kept = list(request.context)[-(14 - len(request.text)) :]
    written, _ = padded([[EOS, *kept, *request.text[:-1]]])
    logits = compiled(network, written_logits)(*padded([[*kept, MASK, EOS]]), written)
    return scored(logits[0, len(kept) :][: len(request.text)], request.text)


BY_HAND = {
    "gpt2": by_decoder,
    "transformer_xl": by_decoder,
    "bert": by_masking,
    "xlm": lambda network, request: by_masking(network, request, 1),
    "xlnet": by_one_query,
    "t5": by_t5,
    "bart": by_bart,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_are_those_of_full_logits(scorers: dict[str, Scorer], name: str) -> None:
    scorer = scorers[name]
    for found, request in zip(scorer.score(REQUESTS), REQUESTS, strict=True):
        expected = BY_HAND[name](scorer.network, request)
        assert found.log_p == pytest.approx(expected.log_p, abs=2e-4, rel=1e-5)
        assert found[1:] == expected[1:]
    assert len({round(score.log_p, 3) for score in scorer.score(REQUESTS)}) == len(REQUESTS)


@pytest.mark.parametrize("name", ["gpt2", "bert", "xlnet", "t5"])
def test_a_score_does_not_depend_on_its_batch_its_bucket_or_its_place(
    scorers: dict[str, Scorer], words: WordTokenizer, name: str
) -> None:
    whole = np.array([score.log_p for score in scorers[name].score(REQUESTS)])
    order = [3, 0, 4, 1, 2]
    permuted = scorers[name].score([REQUESTS[number] for number in order])
    np.testing.assert_allclose([score.log_p for score in permuted], whole[order], rtol=1e-5)
    # Rows of 32 tokens, two or one of them a batch, and more positions than are needed.
    network = scorers[name].network
    other = Scorer(network, words, ASKING.get(name, ScoringFormat()), length=32, batch_tokens=64)
    shorter = [Instance(request.context[-8:], request.text) for request in REQUESTS]
    long = Instance(range(10, 20), range(50, 60))
    alone = [scorers[name].score([request])[0].log_p for request in shorter]
    beside = other.score([*shorter, long])[:-1]
    np.testing.assert_allclose([score.log_p for score in beside], alone, rtol=1e-5)


def test_a_text_is_the_product_of_its_parts(scorers: dict[str, Scorer]) -> None:
    for name in ("gpt2", "xlnet", "transformer_xl"):
        whole, first, rest = scorers[name].score(
            [Instance([20, 21], [10, 11, 12]), Instance([20, 21], [10]), Instance([20, 21, 10], [11, 12])]
        )
        assert whole.log_p == pytest.approx(first.log_p + rest.log_p, rel=1e-5)


def test_the_likeliest_text_is_known_as_such(scorers: dict[str, Scorer]) -> None:
    network = scorers["gpt2"].network
    text: list[int] = []
    for _ in range(3):
        logits = compiled(network, decoder_logits)(*padded([[20, 21, *text]]))[0, 1 + len(text), :SIZE]
        text.append(int(logits.argmax()))
    best, other = scorers["gpt2"].score(
        [Instance([20, 21], text), Instance([20, 21], [*text[:2], (text[2] + 1) % SIZE])]
    )
    assert best.is_greedy and not other.is_greedy and best.log_p > other.log_p


def test_languages_and_codes_reach_the_network(scorers: dict[str, Scorer], words: WordTokenizer) -> None:
    network = scorers["xlm"].network
    found = {language: Scorer(network, words, ScoringFormat(language=language), length=16).score(REQUESTS[:1])[0].log_p
             for language in (None, 0, 1)}  # fmt: skip
    assert len(set(found.values())) == 3
    coded = Scorer(scorers["gpt2"].network, words, ScoringFormat(prefix=(50,)), length=16)
    [with_code] = coded.score([Instance([], [10, 11])])
    [as_context] = scorers["gpt2"].score([Instance([50], [10, 11])])
    assert with_code.log_p == pytest.approx(as_context.log_p, rel=1e-5)
    assert coded.room == scorers["gpt2"].room - 1


def test_contexts_and_texts_are_read_as_one_string(scorers: dict[str, Scorer], monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = scorers["gpt2"]
    assert scorer.requests([("w10 w11", " w12"), ("", "w13")]) == [Instance([10, 11], [12]), Instance([], [13])]
    # A tokenizer that merges over the border: the merged token belongs to the text.
    merged = {"ab": [6, 7], "abc": [6, 8]}
    monkeypatch.setattr(type(scorer.tokenizer), "encode_batch", lambda self, texts: [merged[text] for text in texts])
    assert scorer.requests([("ab", "c")]) == [Instance([6], [8])]


def test_what_does_not_fit_is_refused_before_anything_runs(
    scorers: dict[str, Scorer], words: WordTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scorer, "_run", None)
    for name, room in (("gpt2", 16), ("bert", 14), ("t5", 15)):
        assert scorers[name].room == room
        with pytest.raises(UserError, match=rf"has {room + 1} tokens, but at most {room} can be scored at once"):
            scorers[name].score([Instance([], [10]), Instance([], [10] * (room + 1))])
    with pytest.raises(UserError, match="'' has no token of its own|' ' has no token of its own"):
        scorers["gpt2"].requests([("w10", " ")])
    network = scorers["gpt2"].network
    for length, message in ((100, "has 64 positions: lower it"), (3, "too little to read a text in")):
        with pytest.raises(UserError, match=message):
            Scorer(network, words, length=length)
    with pytest.raises(UserError, match="no head that predicts tokens"):
        Scorer(tiny("electra", "tiny", heads=("replaced_token_detection",)), words)


def test_lengths_are_rounded_up_to_few() -> None:
    assert [rounded(length) for length in (1, 8, 9, 12, 13, 16, 17, 24, 25, 33, 48, 49, 385, 512)] == [
        8, 8, 12, 12, 16, 16, 24, 24, 32, 48, 48, 64, 512, 512,
    ]  # fmt: skip


def test_nothing_is_scored_where_nothing_is_asked(scorers: dict[str, Scorer]) -> None:
    assert scorers["gpt2"].score([]) == []


def test_progress_counts_texts(
    scorers: dict[str, Scorer], words: WordTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder reads a text once a token, in several batches; a text is done with its last one."""
    seen: list[tuple[float, int]] = []
    progress = "plmjax.tasks.scoring.ProgressLine.update"
    monkeypatch.setattr(progress, lambda self, fraction, count: seen.append((fraction, count)))
    Scorer(scorers["bert"].network, words, length=16, batch_tokens=64).score(REQUESTS)
    # Rows of 8 tokens, eight a batch, then four rows of 24: 3 + 1 + 2 + 5 of them are of the shorter texts.
    assert [count for _, count in seen] == [3, 3, 4, 4, 5]
    assert [fraction for fraction, _ in seen] == [count / 5 for _, count in seen]
