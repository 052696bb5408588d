"""The cached program: against recomputation without a cache, alone and among others, its stops and its refusals."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.decode import generate_tokens as c
from plmjax.decode.prefill import PrefillOutput
from plmjax.decode.sampling import GREEDY
from plmjax.decode.sampling_loop import GenerationLimits, Sampler
from plmjax.errors import UserError
from plmjax.modules import Bound

from .conftest import SAMPLED, SIZE, rectangle

PROMPTS = [[10, 20, 30], [40, 50, 60, 70, 80, 90, 15], [9]]
NEW = 12
START = 0


def run(network: Bound, prompts: list[list[int]], left: bool = False, **settings: Any) -> c.GenerationOutput:
    settings = {"max_new_tokens": NEW, "size": SIZE, "start": START, **settings}
    return c.generate_tokens(network, *rectangle(prompts, left), **settings)


@functools.cache
def without_cache(network: Bound) -> Callable[[list[int], list[int]], np.ndarray]:
    """A function that gives the scores [SIZE] of the token after a prompt and what was written so far."""
    module, params = network.module, network.params

    @jax.jit
    def scores(tokens_1L: jax.Array, segments_1L: jax.Array, source_1L: jax.Array, source_segments_1L: jax.Array):
        network = Bound(module, params)
        if module.kind == "decoder":
            x_1LD = network.decode(tokens_1L, None, segments_1L)
        else:
            memory_1LD = network.encode(source_1L, None, source_segments_1L)
            x_1LD = network.decode(tokens_1L, memory_1LD, source_segments_1L, None, segments_1L)
        return network.token_logits(x_1LD)[0, :, :SIZE]

    def pad(ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
        tokens_1L, segments_1L = np.full((1, 24), 7), np.zeros((1, 24), np.int32)
        tokens_1L[0, : len(ids)], segments_1L[0, : len(ids)] = ids, 1
        return tokens_1L, segments_1L

    def after(prompt: list[int], written: list[int]) -> np.ndarray:
        read = [*prompt, *written] if module.kind == "decoder" else [START, *written]
        return np.asarray(scores(*pad(read), *pad(prompt)))[len(read) - 1]

    return after


def test_greedy_equals_recomputation_without_a_cache(writer: Bound) -> None:
    after = without_cache(writer)
    for left in (False, True):
        continuation = run(writer, PROMPTS, left)
        assert continuation.tokens.shape == (3, NEW)
        for prompt, tokens in zip(PROMPTS, continuation.tokens.tolist(), strict=True):
            expected: list[int] = []
            for _ in range(NEW):
                expected.append(int(after(prompt, expected).argmax()))
            assert tokens == expected
    # A network that says the same whatever it reads would hide a mistake.
    assert len(np.unique(continuation.tokens)) > 6


def test_sampled_tokens_come_from_the_filtered_distribution(gpt2: Bound) -> None:
    """Each token is one that the filters leave, with a cache or without, and not always the likeliest."""
    after = without_cache(gpt2)
    tokens_N = run(gpt2, PROMPTS, key=jax.random.key(5), sampling=SAMPLED).tokens[1].tolist()
    ranks = []
    for i, token in enumerate(tokens_N):
        scores_V = after(PROMPTS[1], tokens_N[:i])
        ranks.append(int((scores_V > scores_V[token]).sum()))
    assert max(ranks) < SAMPLED.top_k
    assert max(ranks) > 0


def test_a_row_depends_on_its_own_prompt_and_key_alone(gpt2: Bound) -> None:
    keys = jax.random.split(jax.random.key(1), 4)
    first = run(gpt2, PROMPTS, key=keys[:3], sampling=SAMPLED)
    other_mates = [[5] * 16, PROMPTS[2], PROMPTS[0]]
    eos = int(first.tokens[0, 2])
    second = run(gpt2, other_mates, key=keys[jnp.asarray([3, 2, 0])], sampling=SAMPLED, eos=eos)
    end = first.tokens[0].tolist().index(eos) + 1
    np.testing.assert_array_equal(second.tokens[2, :end], first.tokens[0, :end])
    assert second.lengths[2] == end
    length = second.lengths[1]
    np.testing.assert_array_equal(second.tokens[1, :length], first.tokens[2, :length])


def test_the_seed_sets_the_text_and_rows_differ(gpt2: Bound) -> None:
    same = [PROMPTS[0]] * 3
    first, again, other = (run(gpt2, same, key=jax.random.key(seed), sampling=SAMPLED).tokens for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[0] != first[1]).any()


def test_a_row_ends_at_eos_and_padding_follows(gpt2: Bound) -> None:
    whole = run(gpt2, PROMPTS).tokens
    eos = int(whole[0, 3])
    ends = [row.tolist().index(eos) + 1 if eos in row else NEW for row in whole]
    ended = run(gpt2, PROMPTS, eos=eos, pad=77)
    assert ended.lengths.tolist() == ends
    assert ended.tokens.shape[1] == max(ends)
    for row, full, end in zip(ended.tokens, whole, ends, strict=True):
        np.testing.assert_array_equal(row[:end], full[:end])
        assert (row[end:] == 77).all()


def test_the_loop_stops_when_all_rows_have_ended() -> None:
    """A network that counts: token i + 1 follows token i, and 5 ends a row."""
    calls = []

    def decode_step(token_B: jax.Array, position_B: jax.Array, cache: jax.Array) -> tuple[jax.Array, jax.Array]:
        jax.debug.callback(lambda position_B: calls.append(int(position_B[0])), position_B)
        return jax.nn.one_hot(token_B + 1, 8), cache

    keys = jax.random.split(jax.random.key(0))
    sampler = Sampler(keys, GenerationLimits(most=16, eos=5, pad=7, allowed=np.ones(8, bool)), (), GREEDY)
    prefilled = PrefillOutput(jax.nn.one_hot(jnp.asarray([2, 4]), 8), jnp.zeros(()), jnp.zeros(2, jnp.int32))
    begun = sampler.start(prefilled, jnp.zeros((2, 0), jnp.int32), 16)
    state, _ = sampler.resume(begun, prefilled.cache, decode_step, 16, jnp.asarray(16))
    jax.effects_barrier()
    assert state.written[:, :5].tolist() == [[2, 3, 4, 5, 7], [4, 5, 7, 7, 7]]
    assert state.lengths.tolist() == [4, 2]
    assert sorted(calls) == [0, 1, 2]


def test_prompts_of_one_bucket_share_a_compilation(gpt2: Bound) -> None:
    run(gpt2, PROMPTS)
    compiled = c._sample_program._cache_size()
    assert compiled > 0
    run(gpt2, [[3], list(range(10, 26)), [4, 5]], max_new_tokens=5, eos=9, pad=1, forbidden=[60])
    assert c._sample_program._cache_size() == compiled


def test_forbidden_and_padding_rows_are_never_written(gpt2: Bound) -> None:
    free = run(gpt2, PROMPTS)
    forbidden = np.unique(free.tokens).tolist()
    assert not set(np.unique(run(gpt2, PROMPTS, forbidden=forbidden).tokens)) & set(forbidden)
    assert run(gpt2, PROMPTS, size=40).tokens.max() < 40


def test_requests_that_cannot_be_met_are_refused(gpt2: Bound, t5: Bound, bert: Bound) -> None:
    with pytest.raises(UserError, match="60 tokens and 5 new ones need 65 positions, but this network has 64"):
        run(gpt2, [[9] * 60], max_new_tokens=5)
    with pytest.raises(UserError, match=r"Bert, encoder\) can't continue a text"):
        run(bert, PROMPTS)
    with pytest.raises(ValueError, match="no token"):
        run(gpt2, [[9], []])
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        run(gpt2, PROMPTS, max_new_tokens=0)
    with pytest.raises(ValueError, match="outside the network's 128"):
        run(gpt2, [[128]])
    with pytest.raises(ValueError, match="start"):
        run(t5, PROMPTS, start=None)
    with pytest.raises(ValueError, match="needs a key"):
        run(gpt2, PROMPTS, sampling=SAMPLED)


@pytest.mark.parametrize(("length", "expected"), [(1, 16), (16, 16), (17, 32), (64, 64), (65, 128)])
def test_buckets(length: int, expected: int) -> None:
    assert c.bucket(length) == expected
