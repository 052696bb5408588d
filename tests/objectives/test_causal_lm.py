"""Causal LM on real windows and a small network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.windows import Chunks
from plmjax.errors import UserError
from plmjax.losses.cross_entropy import cross_entropy
from plmjax.modules import Bound
from plmjax.modules.gpt import GPTConfig
from plmjax.objectives import OBJECTIVES
from plmjax.objectives.causal_lm import CausalLM
from tests.objectives.kit import Bigrams, corrupted, losses_of, windows_of

LENGTH, ROWS = 50, 20


def isolated():
    return CausalLM(window=Chunks(separator=True, isolate=True, overlap=1))


@pytest.fixture(scope="module")
def batches(split, vocabulary):
    """Corrupted batches by whether documents are isolated."""
    cases = {False: CausalLM(), True: isolated()}
    return {k: corrupted(o, vocabulary, windows_of(o, split, vocabulary, LENGTH, ROWS)) for k, o in cases.items()}


def test_every_token_of_the_stream_is_predicted_once(batches, split, vocabulary):
    batch = batches[False]
    assert batch["tokens"].shape[1] == batch["targets"].shape[1] == LENGTH
    np.testing.assert_array_equal(batch["tokens"][:, 1:], batch["targets"][:, :-1])
    documents = [[*split.document(i), vocabulary.eos] for i in range(split.documents)]
    stream = np.concatenate(documents)
    np.testing.assert_array_equal(batch["targets"].ravel(), stream[1 : 1 + batch["targets"].size])
    assert (batch["weights"] == 1).all()
    ends = batch["targets"] == vocabulary.eos
    assert ends.any()  # the end of a document is predicted, so that a text can end


def test_isolated_documents_are_not_predicted_from_each_other(batches, vocabulary):
    batch = batches[True]
    after_end = batch["tokens"] == vocabulary.eos
    np.testing.assert_array_equal(batch["weights"], ~after_end)
    assert (batch["positions"][:, 1:][after_end[:, :-1]] == 0).all()
    assert (batch["segments"].max(1) > 1).any()


def unpacked(batch, rows):
    """Each document of the first `rows` rows in a row of its own, padded to the same length."""
    fields = {name: np.asarray(batch[name]) for name in ("tokens", "positions", "segments", "targets", "weights")}
    alone = {name: [] for name in fields}
    for row in range(rows):
        for number in range(1, fields["segments"][row].max() + 1):
            place = fields["segments"][row] == number
            for name, value in fields.items():
                short = np.ones_like(value[row][place]) if name == "segments" else value[row][place]
                alone[name].append(np.pad(short, (0, LENGTH - len(short))))
    return {name: jnp.asarray(np.stack(rows)) for name, rows in alone.items()}


def test_packed_equals_unpacked_in_loss_and_gradient(batches, decoder, vocabulary):
    rows = 4
    packed = {name: jnp.asarray(value[:rows]) for name, value in batches[True].items()}
    alone = unpacked(batches[True], rows)
    assert len(alone["tokens"]) > rows

    @jax.jit
    def loss(params, batch):
        losses, _ = isolated().losses(Bound(decoder.module, params), batch, vocabulary, train=True)
        return losses["causal_lm"].mean()

    together, alone = (jax.value_and_grad(loss)(decoder.params, batch) for batch in (packed, alone))
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5), together[1], alone[1])


def test_padding_is_not_predicted(batches, vocabulary):
    window = {
        "tokens": np.array([7, 8, 9, 0, 0], np.int32),
        "positions": np.arange(5, dtype=np.int32),
        "segments": np.array([1, 1, 1, 0, 0], np.int32),
    }
    example = CausalLM().corrupt(jax.random.key(0), jax.tree.map(jnp.asarray, window), vocabulary)
    np.testing.assert_array_equal(example["weights"], [1, 1, 0, 0])
    np.testing.assert_array_equal(example["targets"][:2], [8, 9])


@pytest.mark.parametrize("isolate", [False, True])
def test_no_loss_depends_on_its_target_or_what_follows(batches, decoder, vocabulary, isolate):
    """One token of the text changes: losses before it stay, later ones change, in its document alone if isolated."""
    batch = {name: value[:1] for name, value in batches[isolate].items()}

    @jax.jit
    def token_losses(batch):
        head = decoder.token_head(decoder.decode(batch["tokens"], batch["positions"], batch["segments"]))
        return cross_entropy(
            head.h, head.table, head.bias, batch["targets"], batch["weights"], size=vocabulary.size
        ).loss

    place = 20
    tokens, targets = batch["tokens"].copy(), batch["targets"].copy()
    assert tokens[0, place] != vocabulary.eos
    tokens[0, place] = targets[0, place - 1] = 7 + (tokens[0, place] - 6) % 93
    changed = np.asarray(token_losses(batch) != token_losses(batch | {"tokens": tokens, "targets": targets}))[0]
    assert not changed[: place - 1].any()
    assert changed[place - 1]  # its own loss
    same_document = batch["segments"][0] == batch["segments"][0, place]
    assert changed[place:][same_document[place:]].all()
    assert not changed[place:][~same_document[place:]].any()
    assert isolate == (~same_document[place:]).any()


def test_smoothing_and_z_loss_are_for_training_alone(batches, vocabulary):
    network = Bigrams(vocabulary.padded_size)
    batch = {name: value[:2] for name, value in batches[False].items()}
    regular = CausalLM(label_smoothing=0.1, z_loss=1e-2)
    plain, trained, validated = (
        losses_of(objective, network, vocabulary, train)(batch)[0]["causal_lm"].mean()
        for objective, train in ((CausalLM(), True), (regular, True), (regular, False))
    )
    assert validated == plain and trained != plain


def test_bad_settings_are_refused_in_a_sentence(vocabulary):
    config = GPTConfig(max_positions=50)
    CausalLM().check(config, "decoder", vocabulary, 50)
    with pytest.raises(UserError, match="'decoder', but GPTConfig is of kind 'encoder'"):
        CausalLM().check(config, "encoder", vocabulary, 50)
    with pytest.raises(UserError, match="longer than the 50 positions"):
        CausalLM().check(config, "decoder", vocabulary, 51)
    with pytest.raises(UserError, match="no eos"):
        CausalLM().check(config, "decoder", dataclasses.replace(vocabulary, eos=None), 50)
    with pytest.raises(UserError, match="overlap is 0"):
        CausalLM(window=Chunks(separator=True, isolate=False, overlap=0)).check(config, "decoder", vocabulary, 50)
    with pytest.raises(UserError, match="label_smoothing is 2"):
        CausalLM(label_smoothing=2.0).check(config, "decoder", vocabulary, 50)


def test_the_registry_makes_every_objective():
    for name, objective in OBJECTIVES.items():
        made = objective()
        kinds = {"encoder", "decoder", "encoder_decoder", "two_stream", "bidirectional"}
        kinds |= {"generator_discriminator", "distillation"}
        assert made.kinds and set(made.kinds) <= kinds, name
        assert isinstance(made.static, bool) and made.heads and isinstance(made.coefficients(), dict)
