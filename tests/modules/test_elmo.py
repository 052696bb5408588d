"""ELMo: who reads whom in each direction, its cells against TensorFlow's rule, padding, states, the mixture."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.tokenizers.characters import spell_sentences
from plmjax.errors import UserError
from plmjax.modules import FAMILIES, Bound, build
from plmjax.modules.characters import CharacterEncoder
from plmjax.modules.elmo import VARIANTS, BothStates
from plmjax.modules.lstm import LSTMStack, LSTMState
from plmjax.modules.scalar_mix import ScalarMix
from tests.modules.networks import paths

CONFIG = replace(VARIANTS["tiny"], vocab_size=24, dropout=0.0)
LENGTH = 6


@pytest.fixture(scope="module")
def network():
    module = build(CONFIG)
    shapes = jax.eval_shape(module.init, jax.random.key(0))["params"]
    rng = np.random.default_rng(0)
    return Bound(module, jax.tree.map(lambda s: jnp.asarray(rng.normal(0, 0.4, s.shape), jnp.float32), shapes))


def words(batch, length, seed=0):
    """Random characters [batch, length, C]."""
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.integers(1, 262, (batch, length, CONFIG.characters)), jnp.int32)


@pytest.mark.parametrize(
    ("variant", "exact"),
    [("small", 13_593_296), ("medium", 28_027_728), ("original", 93_600_848)],
)
def test_released_sizes_without_the_softmax(variant, exact):
    """The release says 13.6M, 28.0M and 93.6M."""
    shapes = jax.eval_shape(build(replace(VARIANTS[variant], heads=())).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == exact


def test_one_softmax_and_one_way_of_reading_words():
    found = paths(jax.eval_shape(build(CONFIG).init, jax.random.key(0))["params"])
    assert {path.split("/")[0] for path in found} == {"embeddings", "encoder", "token_head"}
    assert found["token_head/embedding"].shape == (24, 16)
    assert {path.split("/")[1] for path in found if path.startswith("encoder")} == {"forward", "backward"}


def test_gates_start_as_released():
    params = build(CONFIG).init(jax.random.key(0))["params"]
    np.testing.assert_array_equal(params["embeddings"]["highway_1"]["carry_bias"], -2.0)
    assert np.abs(params["embeddings"]["filters_0"]["kernel"]).max() <= 0.05
    assert not params["encoder"]["forward"]["layers"]["bias"].any()


def jacobian(network, run):
    """bool [L, L]: whether place t of the words' vectors changes place l of `run(vectors)`."""
    vectors = jnp.asarray(np.random.default_rng(1).normal(size=(1, LENGTH, 16)), jnp.float32)
    full = jax.jit(jax.jacrev(lambda v: jnp.sum(jnp.sin(3 * run(v)[0]), -1)))(vectors)
    return np.asarray(jnp.any(full[:, 0] != 0, -1))


def test_forward_sees_no_later_word_and_backward_no_earlier_one(network, monkeypatch):
    """Through `embed`, layer by layer, both halves; the words' own vectors are given in the encoder's place."""
    characters = words(1, LENGTH)
    for layer in (1, 2):
        for half, allowed in ((slice(0, 16), np.tri(LENGTH)), (slice(16, 32), np.tri(LENGTH).T)):

            def run(vectors, layer=layer, half=half):
                monkeypatch.setattr(CharacterEncoder, "__call__", lambda self, _: vectors)
                return network.embed(characters)[0][layer, :, :, half]

            np.testing.assert_array_equal(jacobian(network, run), allowed.astype(bool))
    monkeypatch.undo()


@pytest.mark.parametrize("direction", [0, 1])
def test_training_reads_each_text_from_its_start(network, direction, monkeypatch):
    """In `read` both texts come in the order in which their LSTM reads them; the other text does not count."""

    def run(vectors, which=direction):
        other = jnp.ones_like(vectors)
        both = [vectors, other] if which == 0 else [other, vectors]
        monkeypatch.setattr(CharacterEncoder, "__call__", lambda self, _: jnp.concatenate(both))
        states, _ = network.read(words(1, LENGTH), words(1, LENGTH), network.module.init_memory(1))
        return states[direction]

    np.testing.assert_array_equal(jacobian(network, run), np.tri(LENGTH).astype(bool))
    unread = jax.jit(jax.grad(lambda v: jnp.sum(run(v, 1 - direction))))(jnp.ones((1, LENGTH, 16)))
    assert not unread.any()
    monkeypatch.undo()


def test_layers_are_tensorflows_cells_with_a_residual():
    """A plain loop in float64 numpy: gates i, j, f, o, forget bias 1, clips, projection, residual from layer 2 on."""
    N, D, M, L = 3, 4, 6, 5
    stack = LSTMStack(N, D, M, 0.3, 0.2, True, 0.0, False)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, L, D)).astype(np.float32)
    start = LSTMState(*(jnp.asarray(rng.normal(0, 0.1, (2, N, width)), jnp.float32) for width in (M, D)))
    shapes = {"kernel": (N, 2 * D, 4 * M), "bias": (N, 4 * M), "projection": (N, M, D)}
    params = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    out, after = stack.apply({"params": {"layers": params}}, jnp.asarray(x), start, None)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    y, clipped = x.astype(np.float64), 0
    for n in range(N):
        cell, hidden = np.asarray(start.cell[:, n], np.float64), np.asarray(start.hidden[:, n], np.float64)
        outputs = []
        for t in range(L):
            gates = np.concatenate([y[:, t], hidden], -1) @ params["kernel"][n] + params["bias"][n]
            i, j, f, o = np.split(gates, 4, -1)
            cell = np.clip(sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(j), -0.3, 0.3)
            hidden = np.clip((sigmoid(o) * np.tanh(cell)) @ params["projection"][n], -0.2, 0.2)
            clipped += (np.abs(cell) == 0.3).sum() * (np.abs(hidden) == 0.2).sum()
            outputs.append(hidden + y[:, t] if n else hidden)
        y = np.stack(outputs, 1)
        np.testing.assert_allclose(out[n], y, atol=2e-6)
        np.testing.assert_allclose(after.cell[:, n], cell, atol=2e-6)
        np.testing.assert_allclose(after.hidden[:, n], hidden, atol=2e-6)
    assert clipped


def test_scanned_equals_unrolled(network):
    scanned = Bound(build(replace(CONFIG, unroll=False)), network.params)
    one, two = (jax.jit(bound.embed)(words(2, 4))[0] for bound in (scanned, network))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_padding_changes_nothing(network):
    characters = words(2, 7).at[0, 4:].set(0)
    layers, state = jax.jit(network.embed)(characters)
    alone, alone_state = jax.jit(network.embed)(characters[:1, :4])
    np.testing.assert_allclose(layers[:, :1, :4], alone, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[:1], b, atol=1e-5), state, alone_state)


def test_a_text_in_parts_gives_the_states_of_the_whole(network):
    ahead, back = words(2, 8, 1), words(2, 8, 2)
    read = jax.jit(network.read)
    whole, after = read(ahead, back, network.module.init_memory(2))
    first, state = read(ahead[:, :4], back[:, :4], network.module.init_memory(2))
    second, state = read(ahead[:, 4:], back[:, 4:], state)
    for direction in (0, 1):
        together = jnp.concatenate([first[direction], second[direction]], 1)
        np.testing.assert_allclose(together, whole[direction], atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state, after)
    begun = BothStates(*state).of_rows(jnp.array([0, 1]))
    assert not begun.forward.cell[0].any() and (begun.backward.hidden[1] == state.backward.hidden[1]).all()


def test_layer_0_is_the_word_twice_whatever_is_around_it(network):
    embed = jax.jit(network.embed)
    layers, _ = embed(words(1, 5))
    other, _ = embed(words(1, 5).at[0, 0].set(7))
    np.testing.assert_array_equal(layers[0, ..., :16], layers[0, ..., 16:])
    np.testing.assert_allclose(layers[0, 0, 1:], other[0, 0, 1:], atol=1e-6)
    assert not np.allclose(layers[1, 0, 1:, :16], other[1, 0, 1:, :16], atol=1e-4)


def test_spelling_is_the_released_one_plus_one():
    [row] = spell_sentences([["né", "abcdefghijklmnop"]], 12)
    bow, eow, fill = 259, 260, 261
    assert row[0].tolist() == [bow, 257, eow] + [fill] * 9
    assert row[1].tolist() == [bow, ord("n") + 1, 0xC3 + 1, 0xA9 + 1, eow] + [fill] * 7
    assert row[2].tolist() == [bow, *(ord(c) + 1 for c in "abcdefghij"), eow]
    assert row[3].tolist() == [bow, 258, eow] + [fill] * 9
    two = spell_sentences([["a"], ["a", "b"]], 12)
    assert not two[0, 3].any() and two[1, 3].any()
    with pytest.raises(UserError, match="Words of 2 characters"):
        spell_sentences([["a"]], 2)


def test_the_mixture_is_equation_1():
    layers = jnp.asarray(np.random.default_rng(0).normal(2, 3, (3, 2, 4, 6)), jnp.float32)
    seen = jnp.arange(4)[None] < jnp.array([[4], [2]])
    np.testing.assert_allclose(ScalarMix.start(3)(layers), layers.mean(0), rtol=1e-5)
    mix = ScalarMix(jnp.array([0.0, 1.0, -1.0]), jnp.array(2.0))
    share = np.exp([0, 1, -1]) / np.exp([0, 1, -1]).sum()
    np.testing.assert_allclose(mix(layers), 2 * np.einsum("k,kbld->bld", share, layers), rtol=2e-5)
    assert float(mix.penalty(0.5)) == pytest.approx(1.0)
    only = ScalarMix(jnp.array([0.0, 200.0, 0.0]), jnp.array(1.0))
    values = np.asarray(only(layers, seen, normalise=True))[np.asarray(seen)]
    assert values.mean() == pytest.approx(0, abs=1e-5) and values.std() == pytest.approx(1, abs=1e-4)


def test_sizes_that_no_network_has_are_refused():
    for changes, sentence in (({"d_cell": 8}, "can't be projected up"), ({"characters": 2}, "wider than the 2")):
        with pytest.raises(ValueError, match=sentence):
            jax.eval_shape(build(replace(CONFIG, **changes)).init, jax.random.key(0))
    with pytest.raises(UserError, match="vocab_size is 0"):
        build(FAMILIES["elmo"].variants["tiny"])
