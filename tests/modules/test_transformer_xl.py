"""Transformer-XL: what a segment sees of the text before, and what it sends no gradient to."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules.memory import empty_memory
from tests.modules.networks import network, tokens

LENGTH = 6
WAYS = {
    "plain": {},
    "pre_norm_own_biases": {"norm": "pre", "tie_biases": False},
    "clusters": {"cutoffs": (10, 30)},
    "narrow_clusters": {"cutoffs": (10, 30), "embed_divisor": 2, "d_embed": 24},
}


def after_each(net, text, keep, **options):
    """The states of a text read in segments, each after the memory of those before."""
    memory = net.module.init_memory(len(text), keep)
    parts, step = [], jax.jit(partial(net.bound().decode_after, keep=keep, **options))
    for begin in range(0, text.shape[1], LENGTH):
        x, memory = step(text[:, begin : begin + LENGTH], memory)
        parts.append(x)
    return jnp.concatenate(parts, axis=1), memory


@pytest.mark.parametrize("fields", WAYS.values(), ids=WAYS)
def test_segments_with_a_whole_memory_are_one_text(fields):
    net, text = network("transformer_xl", **fields), tokens(2, 3 * LENGTH)
    whole = net.bound().decode(text)
    parts, memory = after_each(net, text, keep=3 * LENGTH)
    np.testing.assert_allclose(parts, whole, atol=2e-5)
    assert memory.filled.all()


def test_how_far_back_a_token_reaches():
    """Each layer but the first looks through the memory at states that saw their own segment and memory (Sec. 3.2)."""
    net, text = network("transformer_xl", memory_length=3), tokens(1, 4 * LENGTH)
    last = jax.jit(lambda text: after_each(net, text, keep=3)[0][0, -1])
    first = last(text)
    moved = [np.abs(last(text.at[0, at].set(text[0, at] % 49 + 1)) - first).max() > 1e-6 for at in range(4 * LENGTH)]
    # Two layers: the last segment and the memory before it, whose states saw that segment and 3 tokens more.
    assert moved == [at >= 2 * LENGTH - 3 for at in range(4 * LENGTH)]


def test_the_memory_gets_no_gradient():
    net, text = network("transformer_xl"), tokens(2, LENGTH)
    _, memory = net.bound().decode_after(text, net.module.init_memory(2, LENGTH), LENGTH)

    def total(states):
        x, after = net.bound().decode_after(text, memory._replace(states=states), LENGTH)
        return jnp.sum(x**2) + jnp.sum(after.states**2)

    assert not jax.grad(total)(memory.states).any()
    moved, _ = net.bound().decode_after(text, memory._replace(states=memory.states + 1), LENGTH)
    still, _ = net.bound().decode_after(text, memory, LENGTH)
    assert np.abs(moved - still).max() > 1e-3


def test_an_empty_memory_is_none():
    net, text = network("transformer_xl"), tokens(2, LENGTH)
    alone = net.bound().decode(text)
    empty = net.module.init_memory(2, 5)
    noise = empty._replace(states=jnp.ones_like(empty.states))
    for memory in (net.module.init_memory(2, 0), empty, noise):
        np.testing.assert_allclose(net.bound().decode_after(text, memory, 0)[0], alone, atol=1e-5)


def test_rows_that_do_not_continue_forget():
    net, text = network("transformer_xl"), tokens(2, LENGTH)
    step = jax.jit(partial(net.bound().decode_after, keep=LENGTH))
    _, memory = step(text, net.module.init_memory(2, LENGTH))
    x, after = step(text, memory.of_rows(jnp.array([1, 0])))
    went_on, _ = step(text, memory)
    np.testing.assert_allclose(x[0], went_on[0], atol=1e-6)
    np.testing.assert_allclose(x[1], net.bound().decode(text)[1], atol=1e-5)
    assert after.filled.all()


def test_the_memory_keeps_the_last_states():
    memory = empty_memory(1, 1, 3, 1, jnp.float32)
    for first in (0, 2, 4):
        memory = memory.and_then(jnp.arange(first, first + 2, dtype=jnp.float32).reshape(1, 1, 2, 1), 3)
    assert memory.states.ravel().tolist() == [3, 4, 5]
    assert memory.filled.tolist() == [[True, True, True]]


def test_same_length_lets_every_token_see_as_many():
    """A token's state then depends on the last `keep` tokens alone, wherever the segments begin."""
    net = network("transformer_xl", num_layers=1)
    text = tokens(1, 4 * LENGTH)
    cut, _ = after_each(net, text, keep=4, same_length=True)
    shifted, _ = after_each(net, text[:, 2:], keep=4, same_length=True)
    np.testing.assert_allclose(cut[:, LENGTH:], shifted[:, LENGTH - 2 :], atol=1e-5)
    free, _ = after_each(net, text, keep=4)
    assert np.abs(cut[:, LENGTH:] - free[:, LENGTH:]).max() > 1e-3
    last = jax.jit(lambda text: after_each(net, text, keep=4, same_length=True)[0][0, -1])
    moved = [np.abs(last(text.at[0, -1 - ago].set(text[0, -1 - ago] % 49 + 1)) - last(text)).max() for ago in range(6)]
    assert [change > 1e-6 for change in moved] == [True] * 4 + [False] * 2


def test_clamped_distances_are_alike():
    net, text = network("transformer_xl"), tokens(1, 2 * LENGTH)
    far, _ = after_each(net, text, keep=LENGTH, clamp=100)
    near, _ = after_each(net, text, keep=LENGTH, clamp=2)
    plain, _ = after_each(net, text, keep=LENGTH)
    np.testing.assert_allclose(far, plain, atol=1e-6)
    np.testing.assert_allclose(near[:, :3], plain[:, :3], atol=1e-5)
    assert np.abs(near - plain).max() > 1e-3


@pytest.mark.parametrize("fields", WAYS.values(), ids=WAYS)
def test_scores_are_a_distribution(fields):
    net = network("transformer_xl", **fields)
    logits = net.bound().token_logits(net.bound().decode(tokens(2, LENGTH)))
    assert logits.shape == (2, LENGTH, 50)
    if fields.get("cutoffs"):
        np.testing.assert_allclose(jnp.exp(logits).sum(-1), 1.0, rtol=1e-5)


def test_tokens_past_the_vocabulary_show_in_the_loss():
    for fields in WAYS.values():
        net = network("transformer_xl", **fields)
        assert np.isnan(net.bound().decode(jnp.array([[3, 50]]))[0, 1]).any()
        assert np.isfinite(net.bound().decode(jnp.array([[3, 49]]))).all()
