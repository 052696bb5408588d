"""What a run may start from."""

from pathlib import Path

import jax
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.interop.huggingface import save_huggingface
from plmjax.interop.initial import load_source
from plmjax.interop.native import save
from plmjax.interop.pretrained import Pretrained
from plmjax.modules import build
from plmjax.modules.gpt import GPTConfig
from plmjax.train.initialize import load_init_params, load_native

CONFIG = GPTConfig(vocab_size=24, max_positions=8, num_layers=1, num_heads=1, d_model=4, d_ff=8)


@pytest.fixture(scope="module")
def network() -> Pretrained:
    """A GPT-2 of random weights without a tokenizer."""
    params = build(CONFIG).init(jax.random.key(0))["params"]
    return Pretrained(CONFIG, jax.tree.map(np.asarray, params), "GPT2LMHeadModel", None)


def test_reads_a_directory_of_hugging_face(network: Pretrained, tmp_path: Path) -> None:
    save_huggingface(network, tmp_path)
    found = load_init_params(str(tmp_path), "whatever", load_source)  # its tokenizer is not asked for
    jax.tree.map(np.testing.assert_array_equal, found, network.params)


def test_reads_what_plmjax_wrote(network: Pretrained, tmp_path: Path) -> None:
    save(network, tmp_path)
    found = load_source(str(tmp_path), "--init_from")
    assert found.native and found.config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, found.params, network.params)
    jax.tree.map(np.testing.assert_array_equal, load_native(str(tmp_path), "--init_from").params, network.params)


def test_names_what_named_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model.teacher_from is '.*nowhere', which does not exist"):
        load_source(str(tmp_path / "nowhere"), "model.teacher_from")
