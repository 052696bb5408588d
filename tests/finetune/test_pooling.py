"""A text's class is read from its first token, or from the mean of all where the network says so."""

import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.finetune.backbones.encoder import encoder_backbone
from plmjax.modules import Bound
from tests.finetune.kit import checkpoint, recipe


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_state_of_a_text(tokenizer: Tokenizer, pooling: str) -> None:
    pretrained = checkpoint(tokenizer, "modernbert", heads=("sequence_classification",), pooling=pooling)
    network = Bound(pretrained.module, pretrained.params)
    x_BLD = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 32)), jnp.float32)
    segments_BL = jnp.asarray([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    backbone = encoder_backbone(pretrained, recipe())
    state_B1D = backbone.class_states(network, x_BLD, jnp.zeros(2, jnp.int32), segments_BL)
    want = x_BLD[:, 0] if pooling == "cls" else jnp.stack([x_BLD[0, :3].mean(0), x_BLD[1].mean(0)])
    np.testing.assert_allclose(state_B1D[:, 0], want, atol=1e-6)
