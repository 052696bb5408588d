"""What XLNet's memory may know: nothing of the tokens that are predicted from it (zihangdai/xlnet, data_utils.py
677-698)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plmjax.data.loader import Loader
from plmjax.data.store.split import Split
from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.data.windows import PairStreams, Streams
from plmjax.modules import Bound, build
from plmjax.modules.xlnet import XLNetConfig
from plmjax.objectives.permutation_lm import PartialPrediction, RecurrentPermutationLM
from plmjax.train.step import corrupt_batch
from tests.objectives.conftest import SMALL, bound
from tests.objectives.kit import corrupted

LENGTH, REUSED, ROWS = 40, 20, 12
PREDICTION = PartialPrediction(k=3, block=REUSED)
REMEMBERING = {
    "streams": RecurrentPermutationLM(window=Streams(overlap=LENGTH - REUSED, both_ways=True), prediction=PREDICTION),
    "pairs": RecurrentPermutationLM(window=PairStreams(reuse_length=REUSED, both_ways=True), prediction=PREDICTION),
}
OTHER = 101  # the id that a changed token becomes; no text has it


@pytest.fixture(scope="module", params=REMEMBERING)
def two_segments(request, split, vocabulary):
    """Two batches in a row, half of their rows backwards, corrupted."""
    objective = REMEMBERING[request.param]
    loader = Loader(objective.windows(split, vocabulary, LENGTH, 0), ROWS)
    return [corrupted(objective, vocabulary, loader.batch(step)) for step in (0, 1)]


@pytest.fixture(scope="module")
def network():
    config = SMALL | {"num_layers": 2}
    return bound(XLNetConfig(**config, attention_dropout=0.0, memory_length=30, reuse_length=REUSED))


@functools.cache
def states_after(network):
    """(tokens of two segments, their batches) -> the queries' states in the second, [B, M, D]."""

    objective = RecurrentPermutationLM()

    def run(tokens, first, second):
        memory = objective.memory(network.module, ROWS, True)
        for text, batch in zip(tokens, (first, second), strict=True):
            streams = objective.streams(network, batch | {"tokens": text}, memory=memory)
            memory = streams.memory
        return streams.g

    return jax.jit(run)


def test_no_target_moves_its_own_prediction_through_the_memory(two_segments, network, vocabulary):
    """A target of a segment's first half stands in the second half of the segment before too: changed in both."""
    first, second = two_segments
    run = states_after(network)
    as_it_is = np.asarray(run((first["tokens"], second["tokens"]), first, second))
    targets = []
    for row, place in zip(*np.nonzero(second["weights"]), strict=True):
        rest, position = first["tokens"][row, REUSED:], second["masked_positions"][row, place]
        shared = np.argmax(rest == vocabulary.sep) if (rest == vocabulary.sep).any() else len(rest)
        np.testing.assert_array_equal(rest[:shared], second["tokens"][row, :shared])
        if position < shared:
            targets.append((row, place))
    targets = targets[:25]
    assert len(targets) == 25
    moved = felt = 0
    for row, place in targets:
        position = second["masked_positions"][row, place]
        texts = [first["tokens"].copy(), second["tokens"].copy()]
        texts[0][row, position + REUSED] = texts[1][row, position] = OTHER
        now = np.asarray(run(tuple(texts), first, second))
        moved += not np.array_equal(now[row, place], as_it_is[row, place])
        felt += not np.array_equal(now[row], as_it_is[row])
    assert moved == 0, f"{moved} of {len(targets)}"
    assert felt > 15  # the changed token is heard of elsewhere


def test_the_memory_is_felt(two_segments, network):
    """Else the test above would hold of a network that reads none."""
    first, second = two_segments
    run = states_after(network)
    as_it_is = np.asarray(run((first["tokens"], second["tokens"]), first, second))
    other = first["tokens"].copy()
    other[:, 5] = OTHER
    now = np.asarray(run((other, second["tokens"]), first, second))
    assert (np.abs(now - as_it_is).max((1, 2)) > 1e-3).all()


def test_what_is_reused_sees_nothing_of_the_rest_and_the_rest_sees_all_of_it(two_segments):
    for batch in two_segments:
        assert batch["perm_mask"][:, :REUSED, REUSED:].all()
        assert not batch["perm_mask"][:, REUSED:, :REUSED].any()


@pytest.mark.parametrize(
    ("length", "reused", "counts"), [(512, 256, (43, 42)), (64, 32, (5, 5)), (60, 40, (7, 3)), (64, 64, (10,))]
)
def test_each_half_has_its_share_of_the_targets(length, reused, counts, vocabulary):
    """43 and 42 of 512 (data_utils.py 477-478)."""
    objective = RecurrentPermutationLM(window=Streams(overlap=length - reused))
    rng = np.random.default_rng(length)
    batch = {
        "tokens": rng.integers(7, 100, (8, length)).astype(np.int32),
        "segments": np.ones((8, length), np.int32),
        "example_ids": np.arange(8, dtype=np.int32),
        "epochs": np.zeros(8, np.int32),
    }
    noised = corrupted(objective, vocabulary, batch)
    positions = np.where(noised["weights"] > 0, noised["masked_positions"], -1)
    halves = [(0, reused), (reused, length)][: len(counts)]
    for (begin, end), count in zip(halves, counts, strict=True):
        assert (((positions >= begin) & (positions < end)).sum(1) == count).all()


KINDS, PIECE = 8, 16  # of the synthetic text


def synthetic_text(pieces: int) -> Split:
    """Pieces of 16 random tokens of 8 kinds, each followed by its copy."""
    rng = np.random.default_rng(5)
    text = np.repeat(rng.integers(7, 7 + KINDS, (pieces, PIECE)), 2, axis=0).reshape(-1)
    borders = np.array([0, text.size])
    return Split(tokens=text.astype(np.uint16), document_starts=borders, sentence_starts=borders)


def test_first_half_targets_are_no_easier_than_for_a_causal_reader():
    """A segment is a new piece and its copy, or a copy and a new piece. A reader that has not seen the copy can't tell
    a new piece's tokens better than by chance, log 8; one that sees into the second half, or whose memory does, can."""
    vocabulary = make_vocabulary(16, {"pad": 0, "cls": 1, "sep": 2, "mask": 3})
    length = 2 * PIECE
    objective = RecurrentPermutationLM(
        window=Streams(separator=False, overlap=PIECE), prediction=PartialPrediction(k=4, block=PIECE, spans=False)
    )
    config = XLNetConfig(vocab_size=128, num_layers=1, num_heads=2, d_model=32, d_ff=64, dropout=0.0)
    module = build(config)
    params = module.init(jax.random.key(0))["params"]
    optimizer = optax.adam(3e-3)

    def loss(params, batch, new_pieces):
        g_BMD = objective.streams(Bound(module, params), batch).g
        logits = Bound(module, params).token_logits(g_BMD)[..., :16]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"])
        weights = batch["weights"]
        first = weights * (batch["masked_positions"] < PIECE) * new_pieces[:, None]
        return (losses * weights).sum() / weights.sum(), (losses * first).sum() / first.sum()

    @jax.jit
    def step(params, state, batch, new_pieces):
        batch = corrupt_batch(objective, vocabulary, jax.random.key(0), batch, static=False)
        (_, first), gradient = jax.value_and_grad(loss, has_aux=True)(params, batch, new_pieces)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, first

    windows = objective.windows(synthetic_text(4_000), vocabulary, length, 0)
    state, found = optimizer.init(params), []
    for number in range(160):
        ids = number * 31 + np.arange(31)  # as many new pieces as copies come first, or one more
        batch = windows.batch(ids) | {"example_ids": ids.astype(np.int32), "epochs": np.zeros(31, np.int32)}
        params, state, first = step(params, state, batch, jnp.asarray(ids % 2 == 0, jnp.float32))
        found.append(float(first))
    assert np.mean(found[-60:]) > np.log(KINDS) - 0.03, np.mean(found[-60:])
