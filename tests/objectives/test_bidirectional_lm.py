"""Bidirectional LM: both directions' losses, states carried on, sampled words; ELMo from text to a task."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.loader import Loader
from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.data.windows import SentenceStreams
from plmjax.errors import UserError
from plmjax.interop.bilm import load_bilm, save_bilm
from plmjax.interop.initial import load_source
from plmjax.modules.elmo import VARIANTS
from plmjax.modules.gpt import GPTConfig
from plmjax.modules.scalar_mix import ScalarMix
from plmjax.objectives import BidirectionalLM, CausalLM
from plmjax.objectives.base import carries_memory, start_memory
from plmjax.train.config import OptimizerConfig
from plmjax.train.initialize import load_init_params
from plmjax.train.loop import pretrain
from plmjax.train.step import corrupt_batch
from tests.objectives.conftest import bound
from tests.train.kit import sentences, tiny_config
from tests.train.test_loop import assert_same_params, timeless

MODEL = replace(VARIANTS["tiny"], dropout=0.0, unroll=False)
CONFIG = replace(MODEL, vocab_size=128)
LM = BidirectionalLM(SentenceStreams(MODEL.characters))
ROWS, LENGTH, STEPS = 4, 6, 120


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A language in which each word allows three next ones."""
    folder = tmp_path_factory.mktemp("elmo")
    for name, seed in (("train", 0), ("held", 99)):
        lines = [json.dumps({"text": " ".join(sentences(8, seed + n)).capitalize()}) for n in range(40)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    options = PrepareOptions(
        (str(folder / "train.jsonl"),), (str(folder / "held.jsonl"),), tokenizer="words", vocab_size=40, workers=1
    )
    return prepare(options, folder / "store", progress=False)


@pytest.fixture(scope="module")
def batches(store):
    loader = Loader(LM.windows(store.split("train"), store.vocabulary, LENGTH, 0), ROWS)
    return [corrupt_batch(LM, store.vocabulary, jax.random.key(0), loader.batch(t), static=False) for t in range(2)]


@pytest.fixture(scope="module")
def network():
    return bound(CONFIG)


def test_batches_in_a_row_give_the_loss_of_the_whole_text(store, batches, network):
    assert carries_memory(LM)
    memory, apart = start_memory(LM, network.module, ROWS, train=True), []
    for batch in batches:
        losses, metrics, memory = LM.losses_after(network, batch, memory, store.vocabulary, True)
        apart.append(losses)
    fields = [name for name in batches[0] if name not in ("continues", "draw")]
    whole = {name: jnp.concatenate([batch[name] for batch in batches], 1) for name in fields}
    whole |= {name: batches[0][name] for name in ("continues", "draw")}
    together, _ = LM.losses(network, whole, store.vocabulary, True)
    for name in ("forward_lm", "backward_lm"):
        assert sum(float(losses[name].sum) for losses in apart) == pytest.approx(float(together[name].sum), rel=1e-5)
        assert float(apart[0][name].weight) == ROWS * LENGTH == float(metrics[f"{name}_accuracy"].weight)
    alone, _ = LM.losses(network, batches[1], store.vocabulary, True)
    assert abs(float(alone["forward_lm"].sum) - float(apart[1]["forward_lm"].sum)) > 1e-4
    assert LM.coefficients() == {"forward_lm": 0.5, "backward_lm": 0.5}


def test_each_direction_scores_its_own_targets(store, batches, network):
    """Against logits by hand; characters of the real word count where the softmax has only <UNK> for it."""
    batch, size = batches[0], store.vocabulary.shortlist
    losses, _ = LM.losses(network, batch, store.vocabulary, True)
    states, _ = network.read(
        batch["characters"].astype(int), batch["backward_characters"].astype(int), network.module.init_memory(ROWS)
    )
    for name, field, x in (("forward_lm", "targets", states[0]), ("backward_lm", "backward_targets", states[1])):
        scores = jax.nn.log_softmax(network.token_logits(x)[..., :size])
        expected = -jnp.take_along_axis(scores, batch[field][..., None], -1).sum()
        assert float(losses[name].sum) == pytest.approx(float(expected), rel=1e-5)
    is_rare = np.asarray(batch["tokens"]) >= size
    assert is_rare.any() and len(np.unique(np.asarray(batch["characters"])[is_rare], axis=0)) > 1


def test_sampled_words_are_of_training_alone(store, batches, network):
    sampled = replace(LM, samples=8)
    full, some, other, held = (
        float(one.losses(network, batch, store.vocabulary, is_training)[0]["forward_lm"].sum)
        for one, batch, is_training in (
            (LM, batches[0], True),
            (sampled, batches[0], True),
            (sampled, batches[0] | {"draw": batches[1]["draw"]}, True),
            (sampled, batches[0], False),
        )
    )
    assert len({full, some, other}) == 3 and held == full
    assert some < full  # few of the others are in the sum


def test_what_does_not_fit_is_refused(store):
    gpt = GPTConfig(vocab_size=128, num_layers=1, num_heads=1, d_model=8, d_ff=8)
    for objective, network, kind, sentence in (
        (LM, gpt, "decoder", "needs a network of kind 'bidirectional'"),
        (CausalLM(), CONFIG, "bidirectional", "ElmoConfig is of kind 'bidirectional'"),
        (replace(LM, samples=41), CONFIG, "bidirectional", "objective.samples is 41, but there are 40 words"),
        (BidirectionalLM(), CONFIG, "bidirectional", "characters is 50, but the network reads words of 12"),
    ):
        with pytest.raises(UserError, match=sentence):
            objective.check(network, kind, store.vocabulary, LENGTH)


@pytest.fixture(scope="module")
def changes():
    return {
        "model": replace(MODEL, dropout=0.1),
        "objective": replace(LM, samples=16),
        "optimizer": OptimizerConfig("adagrad", 0.2, "constant", initial_accumulator=1 / 400, clip_norm=0.5),
    }


@pytest.fixture(scope="module")
def finished(store, changes, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    config = tiny_config(store.directory, **changes, train__steps=STEPS, train__eval_every=STEPS)
    return pretrain(config, workdir, devices=jax.devices()[:1])


@pytest.mark.slow
def test_a_run_learns_both_ways(finished):
    last = timeless(finished.workdir)[-1]
    first = next(record for record in timeless(finished.workdir) if record["split"] == "validation")
    for name in ("forward_lm", "backward_lm"):
        assert last[name] < min(first[name], finished.unigram_entropy) - 0.1
        assert last[f"{name}_perplexity"] == pytest.approx(np.exp(last[name]), rel=1e-5)


@pytest.mark.slow
def test_a_run_resumes_to_the_bit(finished, store, changes, tmp_path):
    for steps in (STEPS // 2 + 1, STEPS):
        changed = {"train__steps": steps, "train__eval_every": STEPS}
        pretrain(tiny_config(store.directory, **changes, **changed), tmp_path, devices=jax.devices()[:1])
    assert_same_params(finished.workdir, tmp_path)
    assert timeless(finished.workdir)[-1] == timeless(tmp_path)[-1]


@pytest.mark.slow
def test_a_run_gives_vectors_that_a_task_learns_from(finished, tmp_path):
    """Frozen vectors, a mixture of their layers and a linear tagger: which of eight endings does the *next* word have?

    No word says so by itself; the backward direction does.
    """
    bilm = load_bilm(finished.workdir)
    pytest.importorskip("h5py")
    save_bilm(bilm, tmp_path)
    again = load_bilm(tmp_path)
    text = [sentence[:-1].split() for sentence in sentences(60, 7)]
    vectors, _ = bilm.embed(text)
    np.testing.assert_array_equal(vectors[0], again.embed(text)[0][0])
    jax.tree.map(np.testing.assert_array_equal, load_init_params(str(tmp_path), "", load_source), dict(bilm.params))
    layers = jnp.asarray(np.concatenate([v[:, :-1] for v in vectors], 1))[:, None]
    tags = jnp.asarray([ord(word[0]) % 8 for words in text for word in words[1:]])

    def loss(parts, layers):
        mix, kernel = parts
        scores = jax.nn.log_softmax(mix(layers, normalise=True)[0] @ kernel)
        return -scores[jnp.arange(len(tags)), tags].mean() + mix.penalty(1e-3)

    @jax.jit
    def learn(layers):
        parts = (ScalarMix.start(len(layers)), jnp.zeros((layers.shape[-1], 8)))
        step = jax.grad(loss)

        def one(parts, _):
            return jax.tree.map(lambda p, g: p - 0.5 * g, parts, step(parts, layers)), None

        parts, _ = jax.lax.scan(one, parts, length=300)
        return parts, loss(parts, layers)

    (mix, _), mixed = learn(layers)
    _, word_alone = learn(layers[:1])
    assert float(mixed) < float(word_alone) - 0.05
    assert float(mix.weights[1:].max()) > float(mix.weights[0])  # the layers with a context got the weight
