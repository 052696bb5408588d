"""A prefix LM continues a prompt that it sees whole."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.decode.generate_tokens import generate_tokens
from plmjax.modules import FAMILIES, Bound, build

NEW = 6


@pytest.fixture(scope="module")
def network():
    module = build(replace(FAMILIES["t5_prefix_lm"].variants["tiny"], vocab_size=64))
    shapes = jax.eval_shape(module.init, jax.random.key(0))["params"]
    rng = np.random.default_rng(3)
    return Bound(module, jax.tree.map(lambda s: jnp.asarray(rng.normal(0.0, 0.5, s.shape), jnp.float32), shapes))


def test_greedy_decoding_equals_the_full_forward_pass(network):
    prompts = np.random.default_rng(0).integers(1, 64, (2, 7)).astype(np.int32)
    segments = np.array([[1] * 7, [1] * 4 + [0] * 3])
    got = generate_tokens(network, prompts, segments, max_new_tokens=NEW).tokens
    whole = jax.jit(lambda text, real, prefix: network.token_logits(network.decode(text, None, real, prefix_BL=prefix)))
    causal_differs = False
    for row, length in enumerate(segments.sum(1)):
        text = prompts[row, :length].tolist()
        for _ in range(NEW):  # every text in one shape, with padding behind it
            filled = np.array([text + [0] * (7 + NEW - len(text))], np.int32)
            real = (np.arange(7 + NEW) < len(text)).astype(np.int32)[None]
            prefix = np.arange(7 + NEW)[None] < length
            logits = np.asarray(whole(filled, real, prefix))[0, len(text) - 1]
            causal = np.asarray(whole(filled, real, prefix & False))[0, len(text) - 1]
            causal_differs |= bool(causal.argmax() != logits.argmax())
            text.append(int(logits.argmax()))
        assert got[row].tolist() == text[length:]
    assert causal_differs, "the prompt seen causally would have been continued otherwise"
