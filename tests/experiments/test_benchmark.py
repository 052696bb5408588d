"""What experiments.benchmark measures, on networks so small that its numbers mean nothing and its counts all."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from experiments.benchmarks.generation import measure_generation, transformers_writer, whole_number, writer
from experiments.benchmarks.training import measure_training
from experiments.configs import gpt2
from plmjax.errors import UserError
from plmjax.interop.pretrained import Pretrained
from plmjax.modules import build
from plmjax.modules.gpt import VARIANTS

SIZES = {"batch_size": 2, "prompt_tokens": 5, "new_tokens": 7, "repeats": 2}


@pytest.fixture(scope="module")
def network():
    config = replace(VARIANTS["tiny"], vocab_size=40, unroll=False)
    params = jax.device_get(build(config).init(jax.random.key(0))["params"])
    return Pretrained(config, params, "GPT2LMHeadModel", special={"eos_token_id": 1, "pad_token_id": 0})


def test_generation_counts_one_compilation_and_its_flops(network):
    found = measure_generation(network, peak=1e9, **SIZES)
    assert found["compilations"] == 1
    c = network.config
    weights = c.num_layers * (4 * c.d_model**2 + 2 * c.d_model * c.d_ff) + c.d_model * c.vocab_size
    columns = 16 + 7  # the prompt's bucket, and the new tokens
    attention = c.num_layers * 2 * c.d_model * columns
    assert found["model_flops_per_step"] == 2 * 2 * (weights + attention)
    assert found["mfu"] == pytest.approx(found["model_flops_per_step"] / found["step_seconds"] / 1e9)
    assert found["tokens_per_second"] == pytest.approx(2 / found["step_seconds"])
    assert found["peak_memory_bytes"] > 1e6 and found["peak_memory_of"] == "process"
    assert "transformers" not in found


def test_no_text_ends_before_it_is_full(network):
    """A bias makes the EOS the likeliest token each time."""
    params = jax.tree.map(np.copy, network.params)
    params["decoder"]["final_norm"]["scale"][:] = 0
    params["decoder"]["final_norm"]["bias"][:] = params["embeddings"]["tokens"]["embedding"][1]
    ending = replace(network, params=params)
    assert writer(ending)(np.full((2, 3), 5), 6).tolist() == [[1] * 6] * 2


def test_transformers_writes_the_same_beside_it(network):
    pytest.importorskip("torch", reason="the oracle needs PyTorch: install plmjax[parity]")
    pytest.importorskip("transformers", reason="the oracle: install plmjax[parity]")
    found = measure_generation(network, beside=transformers_writer(network), **SIZES)
    assert found["transformers"]["same_tokens"] == 1
    ratio = found["tokens_per_second"] / found["transformers"]["tokens_per_second"]
    assert found["times_as_fast"] == pytest.approx(ratio)


@pytest.mark.slow
def test_training_step(tmp_path):
    config = gpt2.get_config("builtin")
    model = replace(VARIANTS["tiny"], unroll=False)
    config = replace(config, model=model, train=replace(config.train, batch_size=8, length=16, eval_batch_size=8))
    found = measure_training(config, tmp_path, steps=2, warmup=1, peak=1e9)
    assert found["tokens_per_second"] == pytest.approx(8 * 16 / found["step_seconds"])
    weights = model.num_layers * (4 * model.d_model**2 + 2 * model.d_model * model.d_ff)
    rows = config.model.vocab_size or found["vocabulary"]
    assert found["model_flops_per_step"] > 3 * 2 * 8 * 16 * (weights + model.d_model * rows)
    assert found["mfu"] == pytest.approx(found["model_flops_per_step"] / found["step_seconds"] / 1e9 / found["devices"])
    assert found["compile_seconds"] > 0 and found["steps"] == 2


def test_a_batch_size_that_is_none():
    with pytest.raises(UserError, match="--batch_sizes holds '0'"):
        whole_number("0")
