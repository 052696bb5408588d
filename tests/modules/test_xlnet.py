"""XLNet: who informs whom in both streams, memory, directions, and what the settings change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules.memory import Memory
from plmjax.noise.permutation import hide_by_order
from plmjax.objectives.permutation_lm import target_mapping
from tests.modules.networks import VOCAB, network, paths, states, tokens
from tests.modules.test_information_flow import influences

LENGTH, PREDICTED = 9, 4
TOKENS = jnp.arange(1, LENGTH + 1, dtype=jnp.int32)[None]


def random_order(seed):
    """(order, chosen, special) of an odd length, with something predicted."""
    rng = np.random.default_rng(seed)
    chosen, special = np.zeros((2, LENGTH), bool)
    chosen[rng.choice(LENGTH, rng.integers(1, PREDICTED + 1), replace=False)] = True
    special[rng.choice(np.flatnonzero(~chosen), rng.integers(0, 3), replace=False)] = True
    return rng.permutation(LENGTH), chosen, special


def test_a_query_never_sees_its_own_token_nor_later_ones_of_the_order():
    net = network("xlnet")
    of_h = influences(net, lambda bound, mask, mapping: bound.two_streams(TOKENS, mask, mapping).h, TOKENS)
    of_g = influences(net, lambda bound, mask, mapping: bound.two_streams(TOKENS, mask, mapping).g, TOKENS)
    for seed in range(40):
        order, chosen, special = random_order(seed)
        hidden = hide_by_order(jnp.asarray(order), jnp.asarray(chosen), jnp.asarray(special), PREDICTED)
        mapping = target_mapping(hidden.positions[None], hidden.weights[None], LENGTH)
        late = chosen | special
        # Written out anew: everything sees what is given; a late token sees the late ones before it, h sees itself.
        earlier = late[:, None] & late[None, :] & (order[None, :] < order[:, None])
        content = ~late[None, :] | earlier | np.eye(LENGTH, dtype=bool)
        np.testing.assert_array_equal(of_h(hidden.perm_mask[None], mapping), content)
        places = np.flatnonzero(chosen)
        seen = of_g(hidden.perm_mask[None], mapping)
        np.testing.assert_array_equal(seen[: len(places)], (~late[None, :] | earlier)[places])
        assert not seen[len(places) :].any() and not seen[np.arange(len(places)), places].any()


def test_the_memory_is_read_and_sends_no_gradient():
    net = network("xlnet", memory_length=6)
    memory = jnp.asarray(np.random.default_rng(0).normal(size=(1, 2, 3, 32)), jnp.float32)
    filled = jnp.ones((1, 3), bool)
    mapping = jax.nn.one_hot(jnp.asarray([[1, 4]]), LENGTH)
    hidden = jnp.zeros((1, LENGTH, LENGTH)).at[0, :, 4].set(1)

    def total(memory, params):
        streams = net.bound(params).two_streams(TOKENS, hidden, mapping, memory=Memory(memory, filled))
        return jnp.sum(jnp.sin(streams.g)) + jnp.sum(jnp.sin(streams.h)), streams

    value, streams = jax.jit(total)(memory, net.params)
    assert abs(float(jax.jit(total)(memory + 1, net.params)[0] - value)) > 1e-3
    assert not jax.jit(jax.grad(lambda memory: total(memory, net.params)[0]))(memory).any()
    # The new one: the layers' inputs, behind what was left of the old one; no gradient leaves it.
    assert streams.memory.states.shape == (1, 2, 6, 32) and streams.memory.filled.all()
    embedded = net.params["embeddings"]["tokens"]["embedding"][TOKENS[:, -6:]]
    np.testing.assert_array_equal(streams.memory.states[:, 0], embedded)
    gradients = jax.jit(jax.grad(lambda params: jnp.sum(total(memory, params)[1].memory.states ** 2)))(net.params)
    assert not any(gradient.any() for gradient in jax.tree.leaves(gradients))


@pytest.mark.parametrize(("length", "reuse", "want"), [(20, 0, [*"mmm", *"abcdefghi"]), (5, 4, [*"mabcd"])])
def test_what_is_kept(length, reuse, want):
    """Of a memory m m m and the text a..i: the last `length` states, of the text its first `reuse`."""
    net = network("xlnet", memory_length=length, reuse_length=reuse)
    memory = Memory(jnp.full((1, 2, 3, 32), 7.0), jnp.ones((1, 3), bool))
    read = jax.jit(lambda memory: net.bound().two_streams(TOKENS, None, None, memory=memory).memory.states[0, 0])
    kept = read(memory)
    embedded = net.params["embeddings"]["tokens"]["embedding"][TOKENS[0]]
    rows = [memory.states[0, 0, 0] if name == "m" else embedded["abcdefghi".index(name)] for name in want]
    np.testing.assert_array_equal(kept, jnp.stack(rows))
    assert net.bound().two_streams(TOKENS, None, None).g is None
    assert network("xlnet").bound().two_streams(TOKENS, None, None).memory is None


def test_left_to_right_with_memory_is_the_whole_text_at_once():
    net = network("xlnet", causal=True, memory_length=11)
    text = tokens(2, 11)
    whole = jax.jit(net.bound().encode)(text)
    read = jax.jit(lambda part, memory: net.bound().two_streams(part, None, None, memory=memory))
    memory = None
    parts = []
    for part in (text[:, :4], text[:, 4:5], text[:, 5:]):
        streams = read(part, memory)
        parts.append(streams.h)
        memory = streams.memory
    np.testing.assert_allclose(jnp.concatenate(parts, axis=1), whole, atol=2e-5)


def test_a_text_read_backwards_is_the_text():
    net = network("xlnet")
    text = tokens(2, 7)
    backward = net.bound().two_streams(
        jnp.stack([text[0], text[1, ::-1]]), None, None, backward_B=jnp.asarray([False, True])
    )
    np.testing.assert_allclose(jnp.stack([backward.h[0], backward.h[1, ::-1]]), net.bound().encode(text), atol=2e-5)
    assert not np.allclose(net.bound().encode(text[1:, ::-1])[0, ::-1], backward.h[1, ::-1], atol=1e-2)


def test_one_type_is_no_type_and_two_differ():
    net = network("xlnet")
    text = tokens(2, 7)
    plain = net.bound().encode(text)
    np.testing.assert_allclose(net.bound().encode(text, jnp.full((2, 7), 3)), plain, atol=2e-5)
    types = jnp.asarray([[0, 0, 0, 1, 1, 1, 2]] * 2)
    two = net.bound().encode(text, types)
    assert not np.allclose(two, plain, atol=1e-2)
    # They tell one text from another, and are no names.
    np.testing.assert_allclose(net.bound().encode(text, (types + 1) % 3), two, atol=2e-5)


def test_a_query_that_sees_nothing_is_finite():
    net = network("xlnet")
    hidden, mapping = jnp.ones((1, LENGTH, LENGTH)), jax.nn.one_hot(jnp.asarray([[2]]), LENGTH)

    def total(params):
        return jnp.sum(jnp.sin(net.bound(params).two_streams(TOKENS, hidden, mapping).g))

    value, gradients = jax.jit(jax.value_and_grad(total))(net.params)
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in jax.tree.leaves(gradients))


def test_tied_biases_are_one_set_and_all_are_used():
    net = network("xlnet", tie_biases=True)
    biases = net.params["encoder"]["biases"]
    assert {path: x.shape for path, x in paths(biases).items()} == {
        "relative/content_bias": (2, 16),
        "relative/position_bias": (2, 16),
        "segment_bias": (2, 16),
    }
    assert "biases" not in net.params["encoder"]["layers"]["attention"]
    text, types = tokens(2, 7), jnp.asarray([[0, 0, 0, 1, 1, 1, 1]] * 2)

    def total(biases):
        params = net.params | {"encoder": net.params["encoder"] | {"biases": biases}}
        return jnp.sum(jnp.sin(net.bound(params).encode(text, types)))

    assert all(gradient.any() for gradient in jax.tree.leaves(jax.jit(jax.grad(total))(biases)))


def test_distances_beyond_the_clamp_are_one():
    near, far = (network("xlnet", clamp=clamp).bound() for clamp in (2, 8))
    text = tokens(1, 9)
    assert not np.allclose(near.encode(text), far.encode(text), atol=1e-3)
    np.testing.assert_array_equal(far.encode(text), network("xlnet").bound().encode(text))


def test_the_heads_read_what_they_say():
    net = network(
        "xlnet", heads=("token", "sequence_classification", "beam_question_answering"), start_beams=2, end_beams=3
    )
    text = tokens(2, 7)
    x_BLD = states(net.bound(), text)
    np.testing.assert_array_equal(net.bound().class_logits(x_BLD), net.bound().class_logits(x_BLD[:, -1:]))
    assert net.bound().token_logits(x_BLD).shape == (2, 7, VOCAB)
    hidden = jnp.asarray([[True, True, False, False, False, False, True]] * 2)
    beams = net.bound().beam_answers(x_BLD, hidden)
    assert beams.starts.shape == (2, 2) and beams.ends.shape == (2, 3, 2)
    assert not hidden[0, beams.starts].any() and not hidden[0, beams.ends].any()
    for logits in (beams.start_probabilities, beams.end_probabilities.swapaxes(1, 2)):
        assert (np.diff(logits) <= 0).all() and (logits >= 0).all()
    other = net.bound().beam_answers(x_BLD, hidden, jnp.asarray([6, 0]))
    assert beams.class_logits[0] == other.class_logits[0] and beams.class_logits[1] != other.class_logits[1]
