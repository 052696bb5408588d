"""What noise costs beside the training step of BART base: under 2%. `pytest -s` on this file prints the shares."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs.bart import COMMAND, MIXTURE, NOISES
from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.modules import build
from plmjax.modules.bart import VARIANTS
from plmjax.objectives import (
    BertStyle,
    Denoising,
    Deshuffling,
    DropTokens,
    Mass,
    MixtureOfDenoisers,
    MultilingualDenoising,
    SpanCorruption,
)
from plmjax.train.flops import forward_flops
from plmjax.train.step import corrupt_batch, forward

BATCH, LENGTH, VOCABULARY = 8, 512, 50_264
CASES: dict[str, Any] = {
    name: Denoising(noise=noise) for name, noise in (NOISES | {"mixture": MIXTURE, "command": COMMAND}).items()
} | {
    "mBART": MultilingualDenoising(),
    "MASS": Mass(),
    "T5's spans": SpanCorruption(),
    "T5's BERT-style": BertStyle(),
    "T5's deshuffling": Deshuffling(),
    "T5's dropped tokens": DropTokens(),
    "UL2's mixture": MixtureOfDenoisers(),
}  # fmt: skip


@pytest.fixture(scope="module")
def vocabulary():
    specials = {name: i for i, name in enumerate(("pad", "eos", "unk", "bos", "cls", "sep", "mask"))}
    sentinels = range(VOCABULARY - 1, VOCABULARY - 101, -1)
    made = make_vocabulary(VOCABULARY, specials, sentinels, word_start=np.ones(VOCABULARY, bool))
    return replace(made, language_tokens=(7, 8), named={"[R]": 9, "[S]": 10, "[X]": 11})


def raw_batch(objective, rows=BATCH):
    """Shapes of the clean windows of an objective."""
    length = objective.lengths(LENGTH).raw if isinstance(objective, SpanCorruption | MixtureOfDenoisers) else LENGTH - 2
    row, one = jax.ShapeDtypeStruct((rows, length), jnp.int32), jax.ShapeDtypeStruct((rows,), jnp.int32)
    fields = dict.fromkeys(("tokens", "positions", "segments", "sentence_starts"), row)
    return fields | {"language": one, "example_ids": one, "epochs": one}


@pytest.fixture(scope="module")
def step(vocabulary):
    """(FLOPs of the products of a training step, bytes that it can't do without), of 8 texts of 512 tokens.

    The bytes are those of the update alone: parameters, gradients and two moments are read, all but the gradients
    written.
    """
    module = build(replace(VARIANTS["base"], vocab_size=vocabulary.padded_size))
    params = jax.eval_shape(module.init, jax.random.key(0))["params"]
    parts = {"module": module, "objective": CASES["mixture"], "vocabulary": vocabulary}
    flops = 3 * forward_flops(partial(forward, **parts), params, raw_batch(CASES["mixture"]))
    count = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
    assert count == pytest.approx(140e6, rel=0.02)
    return flops, 7 * 4 * count


def noise_program(objective, vocabulary):
    return jax.jit(partial(corrupt_batch, objective, vocabulary, jax.random.key(0), static=False))


@pytest.mark.parametrize("case", CASES)
def test_noise_is_under_two_percent_of_a_step(case, vocabulary, step):
    """By the cost analysis of the noise's program as it is before any fusion, which only saves."""
    cost = noise_program(CASES[case], vocabulary).lower(raw_batch(CASES[case])).cost_analysis()
    flops, moved = cost["flops"] / step[0], cost["bytes accessed"] / step[1]
    print(f"{case}: {cost['flops']:.3g} FLOPs, {flops:.5%}; {cost['bytes accessed']:.3g} bytes, at most {moved:.3%}")
    assert 0 < flops < 0.02 and 0 < moved < 0.02
