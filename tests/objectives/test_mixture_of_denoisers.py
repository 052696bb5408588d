"""UL2's mixture of denoisers: its shares, rates and spans, its texts, and what the network sees."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.data.windows import Chunks, Passages
from plmjax.errors import UserError
from plmjax.modules.gpt import GPTConfig
from plmjax.modules.t5 import T5Config
from plmjax.objectives import BidirectionalLM, MaskedLM, RecurrentLM
from plmjax.objectives.base import perplexities_of
from plmjax.objectives.denoising import Denoising
from plmjax.objectives.mixture_of_denoisers import Denoiser, MixtureOfDenoisers, ul2_denoisers
from plmjax.objectives.noising import Noising
from plmjax.objectives.prefix_lm import PrefixLM, PrefixNoise
from plmjax.objectives.sequence_noise import SequenceNoise
from plmjax.objectives.span_corruption import SpanCorruption, SpanNoise, whole_chunks
from plmjax.objectives.t5_styles import DropNoise, SentinelNoise, ShuffleNoise
from tests.objectives.conftest import SIZE, SPECIALS
from tests.objectives.kit import Bigrams, corrupted, losses_of, windows_of

LENGTH, DRAWS = 40, 10_000
UL2 = MixtureOfDenoisers()
MODES = {"[R]": 100, "[S]": 101, "[X]": 102}
DENOISERS = {denoiser.name: (number, denoiser) for number, denoiser in enumerate(ul2_denoisers())}


@pytest.fixture(scope="module")
def words():
    """The vocabulary of the other tests with mode tokens in place of the last sentinels."""
    starts = [i % 2 == 0 for i in range(SIZE)]
    return make_vocabulary(SIZE, SPECIALS, range(119, 102, -1), word_start=starts, named=MODES)


@pytest.fixture(scope="module")
def draws(words):
    """10,000 draws on texts of distinct tokens, none of them special: (texts [D, L], corrupted)."""
    raw = UL2.lengths(LENGTH).raw
    text = np.resize(np.arange(7, 100), raw).astype(np.int32)
    batch = {
        "tokens": np.tile(text, (DRAWS, 1)),
        "segments": np.ones((DRAWS, raw), np.int32),
        "example_ids": np.arange(DRAWS, dtype=np.int32),
        "epochs": np.zeros(DRAWS, np.int32),
    }
    return batch["tokens"], corrupted(UL2, words, batch)


def of(name, batch):
    """The rows of a denoiser."""
    return {field: value[batch["group"] == DENOISERS[name][0]] for field, value in batch.items()}


def without_end(row, eos):
    return row[: list(row).index(eos)].tolist()


def runs(ids, sentinels):
    """The runs of tokens that follow each sentinel, the one before the first in front."""
    edges = [-1, *(i for i, token in enumerate(ids) if token in sentinels), len(ids)]
    return [ids[a + 1 : b] for a, b in itertools.pairwise(edges)]


def test_every_denoiser_is_drawn_as_often(draws):
    counts = np.bincount(draws[1]["group"], minlength=7)
    share = 1 / 7
    np.testing.assert_allclose(counts, DRAWS * share, atol=3 * np.sqrt(DRAWS * share * (1 - share)))


def test_weights_are_shares(words):
    denoisers = [
        dataclasses.replace(one, weight=weight) for one, weight in zip(ul2_denoisers()[:3], (1, 0, 3), strict=True)
    ]
    objective = MixtureOfDenoisers(denoisers=tuple(denoisers))
    example = {
        "tokens": jnp.arange(objective.lengths(LENGTH).raw) % 90 + 7,
        "segments": jnp.ones(objective.lengths(LENGTH).raw, jnp.int32),
    }
    keys = jax.random.split(jax.random.key(3), DRAWS)
    counts = np.bincount(jax.jit(jax.vmap(lambda key: objective.draw(key, example, words)[0]))(keys), minlength=3)
    assert counts[1] == 0 and abs(counts[2] - 7_500) < 3 * np.sqrt(DRAWS * 0.75 * 0.25)


@pytest.mark.parametrize("name", [name for name in DENOISERS if name != "S"])
def test_span_denoisers_hide_their_rate_in_spans_of_their_length(draws, words, name):
    """The counts of hidden tokens and spans are T5's for the text that it reads, which inputs and targets rebuild."""
    texts, batch = draws
    noise, rows = DENOISERS[name][1].noise, of(name, batch)
    raw = noise.lengths(LENGTH - 1).raw
    for row in range(200):
        inputs, targets = without_end(rows["tokens"][row], 1), without_end(rows["targets"][row], 1)
        assert inputs[0] == MODES[DENOISERS[name][1].mode]
        clean, hidden = runs(inputs[1:], words.sentinels), runs(targets, words.sentinels)
        assert hidden[0] == [] and len(hidden) == len(clean)
        assert [token for pair in zip(clean, [*hidden[1:], []], strict=True) for run in pair for token in run] == texts[
            0
        ][:raw].tolist()
        count = sum(map(len, hidden))
        assert count == round(raw * noise.density) and len(hidden) - 1 == max(1, round(count / noise.mean_span))


def test_the_sequential_denoiser_predicts_a_quarter(draws):
    """Suffixes from 1 token to half of the text, every length as likely, within three standard errors."""
    texts, batch = draws
    rows = of("S", batch)
    raw = LENGTH - 2
    for row in range(200):
        inputs, targets = without_end(rows["tokens"][row], 1), without_end(rows["targets"][row], 1)
        assert inputs[0] == MODES["[S]"] and inputs[1:] + targets == texts[0][:raw].tolist()
    lengths = rows["weights"].sum(1) - 1
    longest = round(2 * 0.25 * raw) - 1
    assert lengths.min() == 1 and lengths.max() == longest
    deviation = np.sqrt((longest**2 - 1) / 12 / len(lengths))
    assert abs(lengths.mean() - 0.25 * raw) < 3 * deviation


def test_shapes_are_the_longest_of_all(words, split):
    lengths = UL2.lengths(LENGTH)
    each = [denoiser.noise.lengths(LENGTH - 1) for denoiser in UL2.denoisers]
    assert lengths.raw == max(one.raw for one in each) and lengths.targets == max(one.targets for one in each)
    batch = corrupted(UL2, words, windows_of(UL2, split, words, LENGTH, 6))
    assert batch["tokens"].shape == (6, LENGTH) and batch["targets"].shape == (6, lengths.targets)
    used = (batch["segments"] > 0).sum(1) + (batch["decoder_segments"] > 0).sum(1)
    assert (used <= lengths.row).all()


@pytest.mark.parametrize("length", [8, 17, 40, 64, 128, 512])
def test_windows_tell_the_length_of_the_inputs(length):
    raw = UL2.lengths(length).raw
    assert UL2.lengths(UL2._inputs_length(raw)).raw == raw and length - 1 <= UL2._inputs_length(raw) <= length


def test_a_key_decides(words, split):
    clean = windows_of(UL2, split, words, LENGTH, 8)
    first, again, later = (corrupted(UL2, words, clean, epoch) for epoch in (0, 0, 1))
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
    assert (first["group"] != later["group"]).any()
    order = np.arange(8)[::-1]
    turned = corrupted(UL2, words, {name: value[order] for name, value in clean.items()})
    np.testing.assert_array_equal(turned["tokens"], first["tokens"][order])


def test_an_empty_row_counts_for_nothing(words, split):
    clean = windows_of(UL2, split, words, LENGTH, 12)
    batch = corrupted(UL2, words, clean | {"segments": np.zeros_like(clean["segments"])})
    assert not batch["weights"].any() and not batch["segments"].any() and not batch["decoder_segments"].any()


def test_validation_gives_the_loss_of_each_denoiser(draws, words):
    batch = {name: value[:64] for name, value in draws[1].items()}
    network = Bigrams(words.padded_size)
    losses, metrics = losses_of(UL2, network, words, train=False)(batch)
    assert {name for name in metrics if not name.endswith("_accuracy")} == set(UL2.groups)
    total, weight = (sum(float(metrics[name][part]) for name in UL2.groups) for part in (0, 1))
    assert weight == batch["weights"].sum()
    assert total == pytest.approx(float(losses["mixture_of_denoisers"].sum), rel=1e-5)
    name, rows = "denoiser_S", of("S", batch)
    assert float(metrics[name].weight) == float(metrics[f"{name}_accuracy"].weight) == rows["weights"].sum() > 0
    alone, _ = losses_of(UL2, network, words, train=False)(rows)
    assert float(metrics[name].sum) == pytest.approx(float(alone["mixture_of_denoisers"].sum), rel=1e-5)
    trained, few = losses_of(UL2, network, words, train=True)(batch)
    assert set(few) == {"mixture_of_denoisers_accuracy"}
    assert trained["mixture_of_denoisers"].mean() > losses["mixture_of_denoisers"].mean()  # z-loss


def test_information_flow(draws, words, encoder_decoder):
    """A loss sees all inputs, the mode token too, the targets before its own, and nothing of other rows."""
    rows = [int(np.flatnonzero(draws[1]["group"] == number)[0]) for number in (2, 4)]
    batch = {name: value[rows] for name, value in draws[1].items()}

    @jax.jit
    def states(tokens, decoder_tokens):
        memory = encoder_decoder.encode(tokens, batch["positions"], batch["segments"])
        return encoder_decoder.decode(decoder_tokens, memory, batch["segments"], None, batch["decoder_segments"])

    before = np.asarray(states(batch["tokens"], batch["decoder_tokens"]))
    real = batch["weights"] > 0
    tokens = batch["tokens"].copy()
    tokens[0, 0] = MODES["[X]"]
    changed = (np.asarray(states(tokens, batch["decoder_tokens"])) != before).any(-1)
    assert changed[0][real[0]].all() and not changed[1].any()
    decoder_tokens = batch["decoder_tokens"].copy()
    decoder_tokens[1, 3] = 99 if decoder_tokens[1, 3] != 99 else 98
    changed = (np.asarray(states(batch["tokens"], decoder_tokens)) != before).any(-1)
    assert not changed[1, :3].any() and changed[1, 3:][real[1, 3:]].all() and not changed[0].any()


def test_one_noise_alone_is_its_objective(words, split):
    """A noise makes the same of a key in a mixture without a mode token as in its own objective."""
    for objective, noise in (
        (SpanCorruption(), SpanNoise()),
        (PrefixLM(window=whole_chunks()), PrefixNoise()),
        (Denoising(), Noising()),
    ):
        mixture = MixtureOfDenoisers(window=objective.window, denoisers=(Denoiser("only", noise),))
        window = objective.windows(split, words, LENGTH, 0)[3]
        example = {name: jnp.asarray(value) for name, value in window.items()}
        key = jax.random.key(5)
        mixed = mixture.corrupt(key, example, words)
        alone = objective.corrupt(jax.random.split(key)[1], example, words)
        for name, value in alone.items():
            np.testing.assert_array_equal(mixed[name], value)


def test_any_noises_mix(words, split):
    noises = {
        "spans": SpanNoise(noise="iid"),
        "bart": Noising(),
        "shuffle": ShuffleNoise(),
        "drop": DropNoise(),
        "bert": SentinelNoise(),
    }
    objective = MixtureOfDenoisers(window=Passages(), denoisers=tuple(Denoiser(*pair) for pair in noises.items()))
    objective.check(T5Config(), "encoder_decoder", words, LENGTH)
    assert objective.needs == ("tokens", "segments", "sentence_starts")
    batch = corrupted(objective, words, windows_of(objective, split, words, LENGTH, 12))
    assert set(batch["group"]) >= {0, 1, 2}
    starts = batch["decoder_tokens"][:, 0]
    assert (starts[batch["group"] == 1] == words.eos).all() and (starts[batch["group"] != 1] == words.pad).all()
    with pytest.raises(UserError, match="reads `sentence_starts`"):
        dataclasses.replace(objective, window=Chunks(overlap=0)).check(T5Config(), "encoder_decoder", words, LENGTH)


def test_the_compiled_noise_stays_small(words):
    """All branches are in the program once, whatever the batch."""
    raw = UL2.lengths(LENGTH).raw
    example = {name: jax.ShapeDtypeStruct((64, raw), jnp.int32) for name in ("tokens", "segments")}
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 64))
    text = jax.jit(jax.vmap(lambda key, one: UL2.corrupt(key, one, words))).lower(keys, example).as_text()
    assert text.count("\n") < 6_000


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (MixtureOfDenoisers(denoisers=()), r"objective.denoisers is empty"),
        (MixtureOfDenoisers(denoisers=("R",)), r"objective.denoisers\[0\] is 'R', which is no Denoiser"),  # type: ignore[arg-type]
        (MixtureOfDenoisers(denoisers=(Denoiser("a", 3),)), r"denoisers\[0\].noise is 3; give a noise"),
        (MixtureOfDenoisers(denoisers=(Denoiser("a", SpanNoise(), weight=-1),)), r"denoisers\[0\].weight is -1"),
        (MixtureOfDenoisers(denoisers=(Denoiser("a", SpanNoise(), weight=0),)), "are all 0"),
        (MixtureOfDenoisers(denoisers=(Denoiser("a", SpanNoise()),) * 2), "are a, a; give each its own"),
        (
            MixtureOfDenoisers(denoisers=(Denoiser("a", SpanNoise()), Denoiser("b", SpanNoise(density=2.0)))),
            r"objective.denoisers\[1\].noise.density is 2.0",
        ),
        (MixtureOfDenoisers(denoisers=(Denoiser("a", PrefixNoise(0.7)),)), r"noise.rate is 0.7; it must be above 0"),
        (MixtureOfDenoisers(denoisers=(Denoiser("a", SpanNoise(), "[Q]"),)), r"no token \[Q\], which this objective"),
        (MixtureOfDenoisers(window=Chunks(overlap=1)), "set objective.window.isolate to False"),
    ],
)  # fmt: skip
def test_what_does_not_fit(words, objective, message):
    with pytest.raises(UserError, match=message):
        objective.check(T5Config(), "encoder_decoder", words, LENGTH)


def test_rows_of_a_decoder_must_fit(words):
    row = UL2.lengths(LENGTH).row
    UL2.check(GPTConfig(max_positions=row), "decoder", words, LENGTH)
    with pytest.raises(UserError, match=f"in one row need {row} positions, but GPTConfig has {row - 1}"):
        UL2.check(GPTConfig(max_positions=row - 1), "decoder", words, LENGTH)


def test_perplexities_are_of_groups_and_of_what_an_objective_names():
    assert perplexities_of(UL2) == UL2.groups
    assert perplexities_of(RecurrentLM()) == ("causal_lm",)
    assert perplexities_of(BidirectionalLM()) == BidirectionalLM().perplexities != ()
    assert perplexities_of(MaskedLM()) == ()


def test_ul2s_noises_are_noises():
    assert all(isinstance(one.noise, SequenceNoise) for one in UL2.denoisers)
