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
    config = replace(BERT["tiny"], heads=("sequence_classification",))
    found = scales(config, LayerDecay(0.5))
    assert set(found["class_head/kernel"].ravel()) == {1.0}
    assert set(found["pooler/kernel"].ravel()) == {1.0}
    assert set(found["embeddings/tokens/embedding"].ravel()) == {0.125}
    assert set(found["embeddings/norm/scale"].ravel()) == {0.125}
    for name in ("encoder/layers/mlp/up/kernel", "encoder/layers/attention_norm/scale"):
        assert set(found[name][0].ravel()) == {0.25}
        assert set(found[name][1].ravel()) == {0.5}
    assert all(set(leaf.ravel()) == {1.0} for leaf in scales(config, AllParameters()).values())


def test_a_last_norm_is_of_the_last_layer() -> None:
    found = scales(GPT["tiny"], LayerDecay(0.5))
    assert set(found["decoder/final_norm/scale"].ravel()) == {0.5}


def test_shared_layers_have_no_rates_of_their_own() -> None:
    with pytest.raises(UserError, match="share their parameters"):
        LayerDecay().wrap_optimizer(optax.identity(), ALBERT["tiny"], 1)
