"""A BERT directory that also holds SpanBERT's boundary head."""

import dataclasses

import jax
import numpy as np

from plmjax.interop import Pretrained, load_huggingface, save_huggingface
from plmjax.interop.weight_map import flatten
from plmjax.modules import build
from plmjax.modules.bert import VARIANTS


def test_the_extra_head_is_kept(tmp_path):
    config = dataclasses.replace(VARIANTS["tiny"], vocab_size=50, heads=("token", "span"))
    shapes = jax.eval_shape(build(config).init, jax.random.key(0))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), shapes)
    save_huggingface(Pretrained(config, params, "BertForMaskedLM"), tmp_path)
    again = load_huggingface(tmp_path)
    assert again.config == config and again.architecture == "BertForMaskedLM"
    ours, theirs = flatten(params), flatten(again.params)
    assert ours.keys() == theirs.keys()
    for path, value in ours.items():
        np.testing.assert_array_equal(value, theirs[path], err_msg=path)
