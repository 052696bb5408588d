"""Recurrent LM: texts read on from batch to batch, the memory handed on, what does not fit."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.loader import Loader
from plmjax.data.windows import Chunks, PairStreams
from plmjax.errors import UserError
from plmjax.modules.gpt import GPTConfig
from plmjax.modules.transformer_xl import TransformerXLConfig
from plmjax.objectives import CausalLM, RecurrentLM
from plmjax.objectives.base import carries_memory, start_memory
from plmjax.objectives.recurrent_lm import Reading
from plmjax.train.step import corrupt_batch, gradients
from tests.objectives.conftest import bound

CONFIG = TransformerXLConfig(
    vocab_size=128, num_layers=2, num_heads=2, head_width=8, d_model=16, d_ff=32, dropout=0.0, memory_length=64
)
ROWS, LENGTH = 4, 8
LM = RecurrentLM()


@pytest.fixture(scope="module")
def batches(split, vocabulary):
    """Three batches in a row, corrupted."""
    loader = Loader(LM.windows(split, vocabulary, LENGTH, 0), ROWS)
    return [corrupt_batch(LM, vocabulary, jax.random.key(0), loader.batch(step), static=True) for step in range(3)]


@pytest.fixture(scope="module")
def network():
    return bound(CONFIG)


def test_segments_give_the_loss_of_the_whole_text(network, batches, vocabulary):
    memory = start_memory(LM, network.module, ROWS, train=True)
    apart = []
    for batch in batches:
        losses, metrics, memory = LM.losses_after(network, batch, memory, vocabulary, train=True)
        apart.append(float(losses["causal_lm"].sum))
    whole = {name: jnp.concatenate([batch[name] for batch in batches], 1) for name in ("tokens", "targets", "weights")}
    whole |= {"positions": None, "segments": jnp.ones_like(whole["tokens"])}
    together, _ = CausalLM().losses(network, whole, vocabulary, train=True)
    assert sum(apart) == pytest.approx(float(together["causal_lm"].sum), rel=1e-5)
    alone = sum(float(LM.losses(network, batch, vocabulary, True)[0]["causal_lm"].sum) for batch in batches)
    assert abs(alone - sum(apart)) > 1e-2
    assert metrics["causal_lm_accuracy"].weight == ROWS * LENGTH


def test_microbatches_change_neither_gradient_nor_memory(network, batches, vocabulary):
    memory = start_memory(LM, network.module, ROWS, train=True)
    _, _, memory = LM.losses_after(network, batches[0], memory, vocabulary, train=True)

    def run(microbatches):
        key = jax.random.key(1)
        return gradients(network.module, LM, vocabulary, network.params, batches[1], key, microbatches, memory)

    one, two = run(1), run(2)  # two rows a portion, so that a memory handed back in another order shows
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), one, two)


def test_half_of_each_segment_in_training_alone(network, batches, vocabulary):
    half = RecurrentLM(loss="half")
    memory = start_memory(half, network.module, ROWS, train=True)
    for train, count in ((True, ROWS * LENGTH // 2), (False, ROWS * LENGTH)):
        losses, metrics, _ = half.losses_after(network, batches[0], memory, vocabulary, train=train)
        assert losses["causal_lm"].weight == metrics["causal_lm_accuracy"].weight == count


def test_validation_reads_in_its_own_way(network, batches, split, vocabulary):
    lm = RecurrentLM(evaluation=Reading(length=5, memory_length=30, same_length=True, clamp=4))
    validation = replace(split, name="validation")
    assert lm.windows(validation, vocabulary, LENGTH, 0).length == 6
    assert lm.windows(split, vocabulary, LENGTH, 0).length == LENGTH + 1
    memory = start_memory(lm, network.module, ROWS, train=False)
    assert memory.filled.shape == (ROWS, 30)
    own = start_memory(LM, network.module, ROWS, train=False)
    found = {}
    for name, objective, start in (("own", lm, memory), ("training's", LM, own)):
        after = start
        for batch in batches:
            losses, _, after = objective.losses_after(network, batch, after, vocabulary, train=False)
        assert after.filled.shape == start.filled.shape
        found[name] = float(losses["causal_lm"].sum)
    assert found["own"] != found["training's"]


def test_without_a_memory_each_segment_stands_alone(batches, vocabulary):
    network = bound(replace(CONFIG, memory_length=0))
    assert start_memory(LM, network.module, ROWS, train=True) == ()
    losses, _, memory = LM.losses_after(network, batches[1], (), vocabulary, train=True)
    assert memory == ()
    alone, _ = LM.losses(network, batches[1], vocabulary, True)
    assert float(losses["causal_lm"].sum) == pytest.approx(float(alone["causal_lm"].sum), rel=1e-6)


def test_only_recurrent_objectives_carry_a_memory():
    assert carries_memory(LM) and not carries_memory(CausalLM())


def test_what_does_not_fit(vocabulary):
    gpt = GPTConfig(vocab_size=128)
    for objective, config, message in (
        (LM, gpt, "GPTConfig has no room"),
        (RecurrentLM(window=Chunks(overlap=1)), CONFIG, "windows of Chunks do not; choose Streams"),
        (RecurrentLM(window=PairStreams(reuse_length=2)), CONFIG, "windows of PairStreams do not; choose Streams"),
        (RecurrentLM(loss="most"), CONFIG, "objective.loss is 'most'"),
        (RecurrentLM(evaluation=Reading(clamp=-1)), CONFIG, "evaluation.clamp is -1"),
        (RecurrentLM(evaluation=Reading(same_length=True)), replace(CONFIG, memory_length=0), "no token would see any"),
        (LM, replace(CONFIG, cutoffs=(50, 120)), "below the 120 tokens"),
        (LM, replace(CONFIG, cutoffs=(60, 50)), r"model.cutoffs is \(60, 50\)"),
        (RecurrentLM(z_loss=1e-4), replace(CONFIG, cutoffs=(50,)), "neither label smoothing nor z-loss"),
    ):
        with pytest.raises(UserError, match=message):
            objective.check(config, "decoder", vocabulary, LENGTH)
    LM.check(replace(CONFIG, cutoffs=(50, 119)), "decoder", vocabulary, LENGTH)
