"""BART under a new encoder: what the encoder reads, and what moves in each of the two stages."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plmjax.errors import UserError
from plmjax.finetune.update_strategies import NewEncoderFirst
from plmjax.interop.weight_map import flatten
from plmjax.modules import FAMILIES, Bound, build
from plmjax.modules.bart_translation import translation_config
from plmjax.train.initialize import adapt_params

CONFIG = replace(translation_config(FAMILIES["bart"].variants["tiny"], 70, 1), vocab_size=40, unroll=False)


def filled(config: Any) -> Any:
    shapes = jax.eval_shape(build(config).init, jax.random.key(0))["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.3, leaf.shape), jnp.float32), shapes)


def test_the_new_encoder_stands_where_the_words_were() -> None:
    module, params = build(CONFIG), filled(CONFIG)
    tokens = np.random.default_rng(1).integers(40, 70, (2, 6)).astype(np.int32)  # which BART's vocabulary lacks
    segments = np.array([[1, 1, 1, 1, 0, 0], [1] * 6], np.int32)

    @jax.jit
    def encode(params: Any, tokens: Any) -> jax.Array:
        return Bound(module, params).encode(tokens, None, segments)

    x = encode(params, tokens)
    assert np.isfinite(x).all()
    other = tokens.copy()
    other[:, 5] = 41
    moved = np.abs(encode(params, other) - x).max(axis=-1) > 1e-4
    assert not moved[0, :4].any() and moved[1].all()  # padding is not seen, by either encoder
    gradient = jax.jit(jax.grad(lambda params: (Bound(module, params).encode(tokens, None, segments)[0, 0] ** 2).sum()))
    found = flatten(jax.device_get(gradient(params)))
    assert not found["embeddings/tokens/embedding"].any()
    for path in ("source_embeddings/tokens/embedding", "source_encoder/layers/mlp/up/kernel"):
        assert found[path].any()
    assert found["encoder_embeddings/positions/embedding"].any() and found["encoder/layers/mlp/up/kernel"].any()


def test_a_bart_is_filled_in() -> None:
    """All but the new encoder comes from a pre-trained BART."""
    bart = filled(replace(FAMILIES["bart"].variants["tiny"], vocab_size=40))
    params, fresh, unused = adapt_params(bart, filled(CONFIG), 40)
    assert fresh and all(path.startswith("source_") for path in fresh) and not unused
    jax.tree.map(np.testing.assert_array_equal, params["encoder"], bart["encoder"])


def test_the_two_stages() -> None:
    ones = jax.tree.map(jnp.ones_like, filled(CONFIG))
    rule = NewEncoderFirst(0.5).wrap_optimizer(optax.identity(), CONFIG, 4)
    state, moved = rule.init(ones), []
    for _ in range(4):
        out, state = rule.update(ones, state, ones)
        moved.append(flatten(jax.device_get(out)))
    for first in moved[:2]:
        always = {path for path in first if path.startswith("source_") or "_embeddings/positions/" in path}
        assert all(first[path].all() for path in always) and len(always) > 10
        parts = [f"{name}/{part}" for name in ("query", "key", "value") for part in ("kernel", "bias")]
        projections = {f"encoder/layers/attention/{part}" for part in parts}
        assert all(first[path][0].all() and not first[path][1:].any() for path in projections)
        assert not any(first[path].any() for path in set(first) - always - projections)
    assert all(leaf.all() for second in moved[2:] for leaf in second.values())


def test_bad_settings() -> None:
    with pytest.raises(UserError, match=r"update_strategy.share is 1.5: it must be from 0 to 1"):
        NewEncoderFirst(1.5).wrap_optimizer(optax.identity(), CONFIG, 4)
    with pytest.raises(UserError, match="A BartConfig has no new encoder"):
        NewEncoderFirst().wrap_optimizer(optax.identity(), FAMILIES["bart"].variants["tiny"], 4)
