"""What Hugging Face's ALBERT can and can't hold of ours."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.interop import Pretrained, load_huggingface, save_huggingface
from plmjax.modules import build
from plmjax.modules.albert import VARIANTS

SIZES = {"vocab_size": 40, "num_layers": 4, "heads": ("token", "next_sentence"), "unroll": False}


def pretrained(**fields) -> Pretrained:
    config = replace(VARIANTS["tiny"], **SIZES | fields)
    shapes = jax.eval_shape(build(config).init, jax.random.key(0))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    return Pretrained(config, params, "AlbertForPreTraining", None, {"pad_token_id": 0})


def logits(network: Pretrained) -> np.ndarray:
    return network(input_ids=np.arange(1, 10)[None])["prediction_logits"]


@pytest.mark.parametrize(
    ("fields", "groups"),
    [({"groups": 2}, 2), ({"sharing": "none"}, 4), ({"embedding_width": 0}, 1)],
    ids=["groups", "none shared", "no map"],
)
def test_what_it_holds_computes_the_same(fields, groups, tmp_path: Path) -> None:
    """Layers of their own become groups of one layer, a map that is not there the identity."""
    ours = pretrained(**fields)
    save_huggingface(ours, tmp_path)
    again = load_huggingface(tmp_path)
    assert again.config.sharing == "all" and again.config.groups == groups and again.config.embedding_width > 0
    np.testing.assert_allclose(logits(again), logits(ours), atol=1e-5)


@pytest.mark.parametrize("sharing", ["attention", "feed_forward"])
def test_half_shared_layers_are_refused(sharing: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"sharing is '{sharing}': it can't be exported"):
        save_huggingface(pretrained(sharing=sharing), tmp_path)
