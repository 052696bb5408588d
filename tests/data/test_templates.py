"""The special tokens around texts, and how far layers move."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plmjax.checkpoints.paths import path_string
from plmjax.data.templates import xlnet_template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.finetune.backbones import make_backbone
from plmjax.finetune.backbones.encoder import encoder_template
from plmjax.finetune.config import FineTune
from plmjax.finetune.update_strategies import AllParameters, LayerDecay
from plmjax.interop import Pretrained
from plmjax.modules import build
from plmjax.modules.albert import VARIANTS as ALBERT
from plmjax.modules.bert import VARIANTS as BERT
from plmjax.modules.gpt import VARIANTS as GPT
from plmjax.modules.xlnet import VARIANTS as XLNET

A, B = [101, 102], [103]


def packed(template: Any, *texts: list[int]) -> tuple[list[int], list[int], tuple[int, ...], int]:
    found = template.pack(*texts)
    assert len(found.tokens) == sum(map(len, texts)) + template.num_special_tokens(len(texts))
    return found.tokens.tolist(), found.types.tolist(), found.starts, found.class_index


def test_bert(tokenizer: Tokenizer) -> None:
    v = tokenizer.vocabulary
    template = encoder_template(BERT["tiny"], v)
    assert packed(template, A) == ([v.cls, *A, v.sep], [0] * 4, (1,), 0)
    assert packed(template, A, B) == ([v.cls, *A, v.sep, *B, v.sep], [0] * 4 + [1] * 2, (1, 4), 0)


def test_roberta(tokenizer: Tokenizer) -> None:
    v = tokenizer.vocabulary
    template = encoder_template(BERT["roberta_tiny"], v)
    assert packed(template, A, B) == ([v.cls, *A, v.sep, v.sep, *B, v.sep], [0] * 7, (1, 5), 0)


def test_xlnet(tokenizer: Tokenizer) -> None:
    v = tokenizer.vocabulary
    assert packed(xlnet_template(v), A, B) == ([*A, v.sep, *B, v.sep, v.cls], [0, 0, 0, 1, 1, 2], (0, 3), 5)
    assert packed(xlnet_template(v), A) == ([*A, v.sep, v.cls], [0, 0, 0, 2], (0,), 3)


def test_gpt(tokenizer: Tokenizer) -> None:
    config = replace(GPT["gpt1_tiny"], vocab_size=300)
    backbone = make_backbone(Pretrained(config, {}, "OpenAIGPTLMHeadModel", tokenizer), FineTune())
    assert packed(backbone.template, A, B) == ([300, *A, 301, *B, 302], [0] * 6, (1, 4), 5)


def scales(config: Any, rule: Any) -> dict[str, np.ndarray]:
    """What a direction of ones becomes, by path."""
    module = build(replace(config, vocab_size=16))
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0))["params"])
    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)
    transform = rule.wrap_optimizer(optax.identity(), config, 1)
    out, _ = transform.update(ones, transform.init(ones), ones)
    return {path_string(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(out)}


def test_lower_layers_move_less() -> None:
    """ELECTRA's released exponents, N + 2 - depth."""
    config = replace(BERT["tiny"], heads=("sequence_classification",))
    found = scales(config, LayerDecay(0.5))
    assert set(found["class_head/kernel"].ravel()) == {1.0}
    assert set(found["pooler/kernel"].ravel()) == {1.0}
    assert config.num_layers == 2
    assert set(found["embeddings/tokens/embedding"].ravel()) == {0.5**4}
    assert set(found["embeddings/norm/scale"].ravel()) == {0.5**4}
    for name in ("encoder/layers/mlp/up/kernel", "encoder/layers/attention_norm/scale"):
        assert set(found[name][0].ravel()) == {0.5**3}
        assert set(found[name][1].ravel()) == {0.5**2}
    assert all(set(leaf.ravel()) == {1.0} for leaf in scales(config, AllParameters()).values())


def test_lower_layers_gradients_are_smaller() -> None:
    """XLNet's released exponents, N - 1 - layer, of what bears a layer's name in its variables."""
    config = replace(XLNET["tiny"], heads=("sequence_classification",))
    found = scales(config, LayerDecay(0.5, "gradients"))
    layers = {path: leaf for path, leaf in found.items() if "/layers/" in path}
    outside = ("biases/segment_bias", "relative/content_bias", "relative/position_bias", "segment_embedding")
    assert config.num_layers == 2
    for path, leaf in layers.items():
        assert [set(layer.ravel()) for layer in leaf] == [{1.0 if path.endswith(outside) else 0.5}, {1.0}], path
    assert sum(path.endswith(outside) for path in layers) == 4
    assert all(set(leaf.ravel()) == {1.0} for path, leaf in found.items() if path not in layers)


def test_gradients_are_scaled_before_the_optimizer_and_rates_after() -> None:
    """Adam's first step is the sign of a gradient, whatever its size: it hides the one and not the other."""
    config, ones = BERT["tiny"], {"encoder": {"layers": {"mlp": {"up": {"kernel": jnp.ones((2, 3))}}}}}
    for kind, first in (("gradients", 1.0), ("learning_rates", 0.5**3)):
        rule = LayerDecay(0.5, kind).wrap_optimizer(optax.scale_by_adam(eps=1e-12), config, 1)
        out, _ = rule.update(ones, rule.init(ones), ones)
        np.testing.assert_allclose(out["encoder"]["layers"]["mlp"]["up"]["kernel"][0], first, rtol=1e-4)


def test_a_last_norm_is_of_the_last_layer() -> None:
    found = scales(GPT["tiny"], LayerDecay(0.5))
    assert set(found["decoder/final_norm/scale"].ravel()) == {0.25}


def test_shared_layers_have_no_rates_of_their_own() -> None:
    with pytest.raises(UserError, match="share their parameters"):
        LayerDecay().wrap_optimizer(optax.identity(), ALBERT["tiny"], 1)
