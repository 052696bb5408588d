"""XLNet's batches, with a memory, are those of the released data code (see xlnet_data.py).

On purpose: B is drawn from the whole text, not from the row's stretch, and a stretch's last windows read on past its
end; no separator or class token is chosen in place of a token that can be predicted; where a half has several blocks,
each has a permutation of its own.
"""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.loader import Loader
from plmjax.data.windows import PairStreams
from plmjax.noise import permutation
from plmjax.objectives.permutation_lm import PartialPrediction, RecurrentPermutationLM
from tests.oracles import xlnet_data
from tests.oracles.kit import BOUND, CLS, DRAWS, SEP, a_split, a_vocabulary, draw, joined, p_value, random_documents

LENGTH, REUSED = 60, 30
ODDS = 1 / np.arange(1, 6)


@pytest.mark.parametrize("tokens", [(1, 12), (20, 60)], ids=["short", "long"])
def test_windows_are_equal_field_by_field_along_each_row(tokens):
    """All batches of a pass, rows in both directions, from the same random numbers: tokens and types."""
    documents = random_documents(1, 60, tokens=tokens)
    windows = PairStreams(reuse_length=REUSED, both_ways=True)
    loader = Loader(windows.build(a_split(documents), a_vocabulary(), LENGTH, seed=5), 4)
    batches = [loader.batch(step) for step in range(int(loader.steps_per_epoch))]
    assert len(batches) > 10
    for row, backward in enumerate((False, False, True, True)):
        ids, sentences = xlnet_data.stream(documents)
        first = LENGTH - REUSED - 3 + 1 + row % 2 * len(batches) * REUSED  # of the row's running text
        if backward:
            first = len(ids) - first - len(batches) * REUSED
            ids, sentences = ids[::-1], sentences[::-1]
        for step, batch in enumerate(batches):
            index = row % 2 * len(batches) + (len(batches) - 1 - step if backward else step)
            rng = random.Random(f"pair streams 5 {index} {backward}")
            tokens, types = xlnet_data.record(ids, sentences, first + step * REUSED, LENGTH, REUSED, rng)
            assert batch["tokens"][row].tolist() == tokens and batch["token_types"][row].tolist() == types
            assert (batch["segments"][row] == 1).all() and batch["continues"][row] == (step > 0)
            assert batch["backward"][row] == backward


class Given(xlnet_data.Draws):
    """The random numbers that plmjax drew."""

    def __init__(self, lengths, shares):
        self.lengths, self.shares = iter(lengths.tolist()), iter(shares)

    def ngram(self, odds):
        return next(self.lengths)

    def left(self, context):
        return int(np.floor(next(self.shares) * np.float32(context)))


@pytest.mark.parametrize("goal", [5, 43])
def test_spans_are_equal_token_by_token(goal):
    """In 500 halves of 256 tokens, from the same random numbers, until the goal or the end is reached."""
    rng, sizes = np.random.default_rng(0), []
    place = jax.jit(lambda n, share, starts: permutation.place_spans(n, share, starts, goal, 1.0, 6.0, False))
    for key in jax.random.split(jax.random.key(1), 500):
        n_S, share_S = permutation.draw_spans(key, 256, 5, 6.0)
        starts = rng.random(256) < 0.6
        found = np.asarray(place(n_S, share_S, jnp.asarray(starts)))
        expected = xlnet_data.spans(starts, goal, Given(np.asarray(n_S), np.asarray(share_S)))
        np.testing.assert_array_equal(found, expected)
        sizes.append(found.sum())
    assert max(sizes) == goal or goal > 40  # the end comes before 43 tokens


@pytest.mark.parametrize("length", [8, 31])
def test_masks_and_targets_are_equal_entry_by_entry(length):
    """From the same choice and order: perm_mask, the places of target_mapping, target and target_mask."""
    rng, reused = np.random.default_rng(length), length // 2
    hide = jax.jit(permutation.hide_by_order, static_argnums=(3, 4))
    for _ in range(100):
        tokens = rng.choice([SEP, CLS, *range(7, 30)], length)
        chosen, first, rest = rng.random(length) < 0.3, rng.permutation(reused), rng.permutation(length - reused)
        special = np.isin(tokens, (SEP, CLS))
        ranks = np.concatenate([first, rest + reused])
        order = hide(jnp.asarray(ranks), jnp.asarray(chosen), jnp.asarray(special), length, reused)
        perm_mask, places, target, target_mask = xlnet_data.parsed(tokens, chosen, reused, first, rest, length)
        np.testing.assert_array_equal(order.perm_mask, perm_mask)
        np.testing.assert_array_equal(order.positions, places)
        np.testing.assert_array_equal(order.weights, target_mask)
        np.testing.assert_array_equal(np.where(order.weights > 0, tokens[order.positions], 0), target)


@pytest.mark.parametrize("backward", [False, True], ids=["ahead", "backward"])
def test_whole_examples_are_equal_in_distribution(backward):
    """10,000 corruptions of one window: what is predicted, and who sees whom in each half."""
    tokens = np.array([8, 9, 9, 10, 7, 12, 14, 9, 8, 7, SEP, 10, 9, 11, SEP, CLS], np.int32)
    length, reused = 16, 8
    vocabulary = a_vocabulary()
    objective = RecurrentPermutationLM(
        window=PairStreams(reuse_length=reused), prediction=PartialPrediction(k=4.0, block=reused)
    )
    example = {"tokens": jnp.asarray(tokens), "segments": jnp.ones(length, jnp.int32)}
    if backward:
        example["backward"] = jnp.asarray(1)
    found = draw(lambda key: objective.corrupt(key, example, vocabulary))

    draws, halves = xlnet_data.Draws(3), (slice(None, reused), slice(reused, None))
    starts, allowed = (tokens % 2 == 0) | (tokens < 7), tokens >= 7
    goals, rows = (2, 2), []  # num_predict 4 (477-478)
    for _ in range(DRAWS):
        chosen = [
            xlnet_data.sample_mask(starts[half], goal, draws, backward, allowed=allowed[half])
            for half, goal in zip(halves, goals, strict=True)
        ]
        orders = [draws.rng.permutation(reused) for _ in halves]  # perm_size is reuse_len (593-598)
        rows.append(xlnet_data.parsed(tokens, np.concatenate(chosen), reused, *orders, 4))
    perm_mask, places, target, target_mask = (np.array(field) for field in zip(*rows, strict=True))
    assert (found["weights"] == target_mask).all()
    what = joined(found["masked_positions"], found["targets"]), joined(places, target)
    assert p_value(*what) > BOUND
    for half in halves:
        assert p_value(joined(found["perm_mask"][:, half]), joined(perm_mask[:, half])) > BOUND


def test_a_span_has_the_released_odds():
    """n of 1 to 5 with odds of 1/n, and a uniform share of the context before it (341-356)."""
    n_S, share_S = draw(lambda key: permutation.draw_spans(key, 7, 5, 6.0))
    draws = xlnet_data.Draws(0)
    expected = np.array([draws.ngram(ODDS / ODDS.sum()) for _ in range(DRAWS)])
    assert p_value(n_S[:, 0], expected) > BOUND
    left = np.array([draws.left(n * 6) for n in expected])
    assert p_value(np.floor(share_S[:, 0] * n_S[:, 0] * 6), left) > BOUND
