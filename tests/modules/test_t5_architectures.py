"""T5's architectures: their sizes, who reads whom, and what is shared."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules import FAMILIES, Bound, build
from tests.modules.networks import VOCAB, config, network, paths, tokens
from tests.modules.test_information_flow import LENGTH, OWN, SEGMENTS, TOKENS, influences
from tests.modules.test_sizes import count

WIDTH, HIDDEN, LAYERS, ROWS = 768, 3072, 12, 32_128
ATTENTION, NORM = 4 * WIDTH * WIDTH, WIDTH
BIASES = 32 * 12
BLOCK = ATTENTION + 2 * WIDTH * HIDDEN + 2 * NORM
CROSS = ATTENTION + NORM
STACK = LAYERS * BLOCK + NORM + BIASES  # P, without the token table
BASE = {"vocab_size": ROWS}
T5 = FAMILIES["t5"].variants["base"]


def test_parameters_by_hand():
    """Table 2's P is a stack; cross-attention, which it leaves out, is a third of one in 12 layers."""
    table = ROWS * WIDTH
    assert STACK == 84_954_240
    assert count("t5_lm", "base", **BASE) == count("t5_prefix_lm", "base", **BASE) == STACK + table
    assert count("t5_shared", "base", **BASE) == STACK + LAYERS * CROSS + BIASES + table
    assert count("t5", "base", **BASE) == 2 * STACK + LAYERS * CROSS + table
    half = {"num_layers": LAYERS // 2, "num_decoder_layers": LAYERS // 2}
    assert count("t5", "base", **BASE, **half) == STACK + NORM + BIASES + LAYERS // 2 * CROSS + table
    assert pytest.approx(1 / 3, abs=1e-3) == LAYERS * CROSS / STACK


def test_the_defaults_are_one_stack_of_t5():
    shared = FAMILIES["t5_shared"].variants["base"]
    for name in ("num_layers", "num_heads", "d_model", "d_kv", "d_ff", "gated", "activation", "relative_buckets"):
        assert getattr(shared, name) == getattr(T5, name)
    assert (shared.relative_max_distance, shared.norm_eps, shared.dropout) == (128, 1e-6, 0.1)


PREFIX = np.array([1, 1, 0, 1, 1, 1, 0, 0, 0], bool)


@pytest.mark.parametrize("name", ["t5_prefix_lm", "gpt2", "gpt3"])
def test_a_prefix_is_seen_whole_and_the_rest_causally(name):
    """In two packed texts with padding, and in one: inputs see all inputs and no target, targets their past too."""
    fields = {"bands": (0, 2)} if name == "gpt3" else {}
    net = network(name, **fields)

    def run(bound, segments, prefix):
        return bound.decode(TOKENS, None, segments, prefix_BL=prefix)

    seen = influences(net, run, TOKENS)
    for segments, prefix in ((SEGMENTS, PREFIX), (np.ones_like(SEGMENTS), np.arange(LENGTH) < 4)):
        same = (segments[:, None] == segments[None]) & (segments[None] != 0)
        past = np.tril(np.ones_like(same))
        want = same & (past | prefix[None]) | OWN
        np.testing.assert_array_equal(seen(segments[None], prefix[None]), want)
        inputs, targets = prefix & (segments > 0), ~prefix & (segments > 0)
        assert not want[np.ix_(inputs, targets)].any() and want[np.ix_(inputs, inputs)][0, : inputs[:3].sum()].all()
    without = np.asarray(jax.jit(lambda: run(net.bound(), SEGMENTS[None], None))())
    none = np.asarray(jax.jit(lambda: run(net.bound(), SEGMENTS[None], np.zeros((1, LENGTH), bool)))())
    np.testing.assert_allclose(without, none, atol=1e-6)


def test_a_network_that_sees_to_its_right_has_buckets_for_it():
    """Among inputs, a token on the right changes a state by another bias than one on the left, or than none."""
    for name, right_has_one in (("t5_prefix_lm", True), ("t5_lm", False)):
        net = network(name)
        table = net.params["decoder"]["relative_bias"]["embedding"]

        def total(table, net=net):
            decoder = net.params["decoder"] | {"relative_bias": {"embedding": table}}
            prefix = np.ones((1, LENGTH), bool)
            return jnp.sum(jnp.sin(net.bound(net.params | {"decoder": decoder}).decode(TOKENS, prefix_BL=prefix)))

        used = np.flatnonzero(np.any(np.asarray(jax.jit(jax.grad(total))(table)) != 0, axis=1))
        wanted = [*range(8), *range(17, 24), *([8] if right_has_one else [])]
        assert used.tolist() == (sorted({*wanted, 24}) if right_has_one else list(range(9)))


def test_a_prompt_then_tokens_equals_one_pass():
    net = network("t5_prefix_lm")
    prompt, new, width = 5, 3, 12
    lengths = np.array([5, 2, 4])
    tokens_BT = tokens(3, prompt + new)
    segments_BT = (np.arange(prompt + new) >= (prompt - lengths)[:, None]).astype(np.int32)  # padding on the left
    prefix_BT = (np.arange(prompt + new) < prompt)[None] & (segments_BT > 0)
    want = jax.jit(lambda: net.bound().decode(tokens_BT, None, segments_BT, prefix_BL=prefix_BT))()
    read = jax.jit(lambda t, s, p, cache: net.bound().decode(t, None, s, cache, p))
    write = jax.jit(lambda t, s, cache: net.bound().decode(t, None, s, cache))
    cache = net.module.init_cache(3, width)
    got, cache = read(tokens_BT[:, :prompt], segments_BT[:, :prompt], prefix_BT[:, :prompt], cache)
    parts = [got]
    for at in range(prompt, prompt + new):
        got, cache = write(tokens_BT[:, at : at + 1], segments_BT[:, at : at + 1], cache)
        parts.append(got)
    real = segments_BT > 0
    np.testing.assert_allclose(np.asarray(jnp.concatenate(parts, axis=1))[real], np.asarray(want)[real], atol=2e-5)
    causal = jax.jit(lambda: net.bound().decode(tokens_BT, None, segments_BT))()
    assert np.abs(np.asarray(causal) - np.asarray(want))[0].max() > 0.1


@pytest.fixture(scope="module")
def shared():
    return network("t5_shared")


def test_the_shared_network_is_t5_with_the_same_stack_twice(shared):
    whole = build(replace(FAMILIES["t5"].variants["tiny"], vocab_size=VOCAB))
    decoder = {name: tree for name, tree in shared.params["decoder"].items() if name != "encoder_relative_bias"}
    layers = {name: tree for name, tree in decoder["layers"].items() if not name.startswith("cross")}
    params = {
        "embeddings": shared.params["embeddings"],
        "decoder": decoder,
        "encoder": decoder | {"layers": layers, "relative_bias": shared.params["decoder"]["encoder_relative_bias"]},
    }
    inputs, targets = tokens(2, 6), tokens(2, 5, seed=1)
    segments = np.array([[1, 1, 1, 2, 2, 0], [1] * 6])

    def run(bound):
        memory = bound.encode(inputs, segments_BL=segments)
        x = bound.decode(targets, memory, segments)
        return memory, x, bound.token_logits(x)

    twice, once = (jax.jit(lambda bound=bound: run(bound))() for bound in (Bound(whole, params), shared.bound()))
    for one, other in zip(twice, once, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_shared_parameters_learn_from_both_sides(shared):
    inputs, targets = tokens(2, 6), tokens(2, 5, seed=1)
    memory = jax.jit(lambda: shared.bound().encode(inputs))()
    encoder = jax.jit(jax.grad(lambda params: jnp.sum(jnp.sin(shared.bound(params).encode(inputs)))))
    decoder = jax.jit(jax.grad(lambda params: jnp.sum(jnp.sin(shared.bound(params).decode(targets, memory)))))
    by_inputs, by_targets = (
        {path for path, leaf in paths(grad(shared.params)["decoder"]).items() if np.any(leaf)}
        for grad in (encoder, decoder)
    )
    everything = set(paths(shared.params["decoder"]))
    cross = {path for path in everything if path.startswith("layers/cross")}
    assert by_inputs == everything - cross - {"relative_bias/embedding"} and len(cross) == 5
    assert by_targets == everything - {"encoder_relative_bias/embedding"}


def test_a_layer_of_the_shared_stack_starts_as_t5s():
    params = jax.jit(build(config("t5_shared")).init)(jax.random.key(0))["params"]
    for name, std in (("query", (32 * 16) ** -0.5), ("key", 32**-0.5), ("out", 32**-0.5)):
        for part in ("attention", "cross_attention"):
            kernel = np.asarray(params["decoder"]["layers"][part][name]["kernel"])
            assert kernel.std() == pytest.approx(std, rel=0.1) and not np.allclose(kernel[0], kernel[1])
