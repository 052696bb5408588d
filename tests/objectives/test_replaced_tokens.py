"""A generator and a discriminator trained together: what ELECTRA's objectives compute, and where gradients go."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.modules import Bound, build
from plmjax.modules.bert import BertConfig
from plmjax.modules.electra import ElectraConfig, pair
from plmjax.modules.generator_discriminator import GeneratorDiscriminatorConfig
from plmjax.modules.gpt import GPTConfig
from plmjax.noise import replacement
from plmjax.objectives.masked_lm import MaskedLM
from plmjax.objectives.replaced_tokens import AllTokensMLM, GeneratorMasking, ReplacedTokens, ReplaceMLM, ranked
from plmjax.train.config import Config
from plmjax.train.resolve import resolve
from tests.modules.networks import paths
from tests.objectives.kit import corrupted, windows_of

LENGTH, ROWS = 24, 4
SMALL = {"vocab_size": 128, "num_layers": 1, "num_heads": 2, "d_model": 16, "d_ff": 32, "max_positions": 64}
DRY = {"dropout": 0.0, "attention_dropout": 0.0}


@pytest.fixture(scope="module")
def clean(split, vocabulary):
    return windows_of(ReplacedTokens(), split, vocabulary, LENGTH, ROWS)


def networks(objective, sharing="tied"):
    """A pair with the heads that the objective asks for, and parameters in which everything shows."""
    config = pair(ElectraConfig(**SMALL, **DRY, embedding_width=8), 1 / 2, sharing=sharing)
    for name, part in config.networks().items():
        part.heads = objective.heads[name]
    module = build(config)
    shapes = jax.eval_shape(module.init, jax.random.key(0))["params"]
    rng = np.random.default_rng(0)
    return module, jax.tree.map(lambda s: jnp.asarray(rng.normal(0, 0.4, s.shape), jnp.float32), shapes)


def gradient_paths(module, params, objective, batch, vocabulary, name):
    """The paths of the parameters that the loss `name` has a gradient to."""

    def loss(params):
        return objective.losses(Bound(module, params), batch, vocabulary, train=True)[0][name].mean()

    gradients = jax.jit(jax.grad(loss))(params)
    return {path for path, value in paths(gradients).items() if np.abs(value).max() > 0}


TABLES = ("tokens", "positions", "token_types", "norm")


@pytest.mark.parametrize(
    ("sharing", "shared"),
    [
        ("tied", TABLES),
        ("tables", ("tokens", "positions")),
        ("tokens", ("tokens",)),
        ("disentangled", ()),
        ("none", ()),
    ],
)
def test_gradients_go_where_the_paper_says(clean, vocabulary, sharing, shared):
    objective = ReplacedTokens()
    module, params = networks(objective, sharing)
    batch = corrupted(objective, vocabulary, clean)
    detection = gradient_paths(module, params, objective, batch, vocabulary, "replaced_tokens")
    generator = {path for path in detection if path.startswith("generator/")}
    assert all(path.split("/")[2] in shared for path in generator)
    assert {path.split("/")[2] for path in generator} == set(shared)
    masked = gradient_paths(module, params, objective, batch, vocabulary, "masked_lm")
    assert masked and all(path.startswith("generator/") for path in masked)


def test_disentangled_tables_are_the_generators_plus_a_difference(vocabulary):
    objective = ReplacedTokens()
    module, params = networks(objective, "disentangled")
    fresh = module.init(jax.random.key(0))["params"]
    assert not np.any(fresh["discriminator"]["embeddings"]["tokens"]["embedding"])
    _, whole = module.subnetwork(params, "discriminator")
    for name in ("tokens", "positions"):
        expected = sum(params[part]["embeddings"][name]["embedding"] for part in ("generator", "discriminator"))
        np.testing.assert_array_equal(whole["embeddings"][name]["embedding"], expected)


def test_tied_tables_are_stored_once():
    _, params = networks(ReplacedTokens(), "tied")
    assert set(params["discriminator"]["embeddings"]) == {"projection"}
    assert set(params["generator"]["embeddings"]) == set(TABLES)  # the generator is as wide as its embeddings


def test_detection_labels_and_weights(clean, vocabulary):
    """A sample that equals the original was not replaced; padding has no weight; `where` narrows it down."""
    batch = corrupted(ReplacedTokens(), vocabulary, clean)

    class Fixed:
        def encode_for_tokens(self, tokens, *_):
            x = jnp.zeros((*tokens.shape, 2))
            return type("E", (), {"x_BLD": x, "tokens_BLD": x})

        def replaced_token_logits(self, x):
            return jnp.full(x.shape[:2], 3.0)  # always "replaced"

    row, place = np.argwhere(batch["weights"] > 0)[0]
    tokens = np.array(batch["originals"])
    position = batch["masked_positions"][row, place]
    tokens[row, position] = 50 if tokens[row, position] != 50 else 51  # one token is replaced, and no other
    read = batch | {"tokens": tokens}
    real = (batch["segments"] > 0).sum()
    _, metrics = ReplacedTokens().second_losses(Fixed(), read, vocabulary, True)
    assert float(metrics["replaced_tokens_positives"].weight) == real
    assert float(metrics["replaced_tokens_positives"].sum) == 1 == float(metrics["replaced_tokens_accuracy"].sum)
    losses, metrics = ReplacedTokens(where="masked").second_losses(Fixed(), read, vocabulary, True)
    masked = batch["weights"].sum()
    assert float(metrics["replaced_tokens_positives"].weight) == masked
    expected = np.log1p(np.exp(-3.0)) + (masked - 1) * np.log1p(np.exp(3.0))
    assert float(losses["replaced_tokens"].sum) == pytest.approx(expected, rel=1e-5)


def test_ranked_is_that_of_a_double_loop():
    rng = np.random.default_rng(0)
    logits, labels = rng.integers(0, 4, (3, 9)).astype(np.float32), rng.random((3, 9)) < 0.3
    weights = (rng.random((3, 9)) < 0.8).astype(np.float32)
    right, count = 0.0, 0
    for b in range(3):
        for i in range(9):
            for j in range(9):
                if labels[b, i] and not labels[b, j] and weights[b, i] and weights[b, j]:
                    count += 1
                    right += 1.0 * (logits[b, i] > logits[b, j]) + 0.5 * (logits[b, i] == logits[b, j])
    found = ranked(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(weights))
    assert (float(found.sum), float(found.weight)) == (right, count)


def test_samples_belong_to_the_example_and_the_epoch(clean, vocabulary):
    objective = ReplacedTokens()
    module, params = networks(objective)
    run = jax.jit(
        lambda batch: objective._generate(Bound(module, params).subnetwork("generator"), batch, vocabulary)[0]
    )
    first, later = (np.asarray(run(corrupted(objective, vocabulary, clean, epoch))["tokens"]) for epoch in (0, 1))
    again = np.asarray(run(corrupted(objective, vocabulary, clean))["tokens"])
    np.testing.assert_array_equal(first, again)
    assert (first != later).any()
    turned = {name: value[::-1] for name, value in corrupted(objective, vocabulary, clean).items()}
    np.testing.assert_array_equal(np.asarray(run(turned)["tokens"])[::-1], first)
    batch = corrupted(objective, vocabulary, clean)
    changed = first != clean["tokens"]
    for row in range(ROWS):
        counted = batch["masked_positions"][row][batch["weights"][row] > 0]
        assert len(set(counted)) == len(counted) and set(np.flatnonzero(changed[row])) <= set(counted)
    assert (first < vocabulary.size).all()


def test_replace_mlm_reads_samples_and_all_tokens_mlm_is_the_mixture(clean, vocabulary):
    for objective in (ReplaceMLM(), AllTokensMLM()):
        module, params = networks(objective)
        batch = corrupted(objective, vocabulary, clean)
        bound = Bound(module, params)
        replaced, _, _ = jax.jit(
            lambda b, bound=bound, o=objective: o._generate(bound.subnetwork("generator"), b, vocabulary)
        )(batch)
        second = bound.subnetwork("discriminator")
        losses, _ = jax.jit(lambda b, o=objective, net=second: o.second_losses(net, b, vocabulary, True))(replaced)
        inputs = {
            name: replaced[name] for name in ("tokens", "token_types", "positions", "segments") if name in replaced
        }
        states = second.encode(*(inputs.get(n) for n in ("tokens", "token_types", "positions", "segments")))
        logits = np.asarray(second.token_logits(states), np.float64)[..., : vocabulary.size]
        softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        originals = np.asarray(batch["originals"])
        likely = np.take_along_axis(softmax, originals[..., None], -1)[..., 0]
        if isinstance(objective, ReplaceMLM):
            at = np.take_along_axis(likely, batch["masked_positions"], 1)
            expected = -(np.log(at) * batch["weights"]).sum() / batch["weights"].sum()
        else:
            gate = 1 / (1 + np.exp(-np.asarray(second.replaced_token_logits(states), np.float64)))
            p = (1 - gate) * (np.asarray(replaced["tokens"]) == originals) + gate * likely
            weights = batch["segments"] > 0
            expected = -(np.log(p) * weights).sum() / weights.sum()
        assert float(losses[objective.name].mean()) == pytest.approx(expected, rel=1e-4)


def test_sampling_follows_the_softmax():
    logits = jnp.asarray([[0.0, 1.0, 2.0, -1.0]])
    draw = jax.jit(jax.vmap(partial(replacement.sample, logits_MV=logits)))
    counts = np.bincount(np.asarray(draw(jax.random.split(jax.random.key(0), 10_000)))[:, 0], minlength=4)
    expected = 10_000 * np.asarray(jax.nn.softmax(logits[0]))
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # chi-square, 3 degrees of freedom, 0.1%


def test_the_reference_draws_with_replacement_and_averages_ids():
    tokens = jnp.arange(10, 30)
    put = replacement.put(tokens, jnp.array([3, 3, 5, 0]), jnp.array([40, 61, 70, 99]), jnp.array([1.0, 1, 1, 0]))
    np.testing.assert_array_equal(put, [10, 11, 12, 50, 14, 70, *range(16, 30)])

    @jax.jit
    @jax.vmap
    def draw(key):
        return replacement.mask_with_replacement(
            key, tokens, tokens >= 12, jnp.int32(5), predictions=6, mask=1, mask_share=0.85
        )

    drawn = jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(0), 10_000)))
    assert (drawn.weights.sum(1) == 5).all() and (drawn.masked_positions[:, :5] >= 2).all()
    twice = np.array([len(set(row)) < 5 for row in drawn.masked_positions[:, :5]])
    expected = 1 - np.prod(1 - np.arange(5) / 18)
    assert abs(twice.mean() - expected) < 3 * np.sqrt(expected * (1 - expected) / 10_000)
    alone = ~twice
    share = (drawn.tokens[alone] == 1).sum() / (5 * alone.sum())
    assert abs(share - 0.85) < 3 * np.sqrt(0.85 * 0.15 / (5 * alone.sum()))
    assert GeneratorMasking(duplicates="reference").max_predictions(128) == 19


BERT = BertConfig(**SMALL, **DRY)
ELECTRA = ElectraConfig(**SMALL, **DRY, embedding_width=8)
GPT = GPTConfig(**SMALL)
OTHER_WIDTH, OTHER_POSITIONS = replace(ELECTRA, embedding_width=4), replace(ELECTRA, max_positions=32)
OTHER_VOCABULARY = replace(ELECTRA, vocab_size=256)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            GeneratorDiscriminatorConfig(ELECTRA, ELECTRA, sharing="some"),
            "model.sharing is 'some'; it must be one of tied, tables, tokens, disentangled, none.",
        ),
        (
            GeneratorDiscriminatorConfig(ELECTRA, GPT),
            "The generator of a pair must be an encoder, but GPTConfig is of kind 'decoder'; choose another network.",
        ),
        (
            GeneratorDiscriminatorConfig(GPT, ELECTRA),
            "The discriminator of a pair must be an encoder, but GPTConfig is of kind 'decoder'; choose another "
            "network.",
        ),
    ],
)
def test_networks_that_make_no_pair_are_refused(config, sentence):
    with pytest.raises(UserError) as caught:
        build(config)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("sharing", ["tied", "tables", "tokens", "disentangled"])
@pytest.mark.parametrize(
    ("generator", "table", "sizes"),
    [
        (OTHER_WIDTH, "tokens", ("[128, 4]", "[128, 8]")),
        (OTHER_VOCABULARY, "tokens", ("[256, 8]", "[128, 8]")),
        (OTHER_POSITIONS, "positions", ("[32, 8]", "[64, 8]")),
    ],
)
def test_tables_of_other_sizes_cannot_be_shared(sharing, generator, table, sizes):
    module = build(GeneratorDiscriminatorConfig(ELECTRA, generator, sharing=sharing))
    if sharing == "tokens" and table != "tokens":
        jax.eval_shape(module.init, jax.random.key(0))  # what is not shared may differ
        return
    with pytest.raises(UserError) as caught:
        jax.eval_shape(module.init, jax.random.key(0))
    start = f"model.sharing is {sharing!r}, but embeddings/{table} is {sizes[0]} in the generator and {sizes[1]} in"
    assert str(caught.value).startswith(start) and str(caught.value).endswith("or share less.")


@pytest.mark.parametrize("generator", [OTHER_WIDTH, OTHER_VOCABULARY, OTHER_POSITIONS])
def test_tables_of_other_sizes_stand_side_by_side_unshared(generator):
    params = jax.eval_shape(
        build(GeneratorDiscriminatorConfig(ELECTRA, generator, sharing="none")).init, jax.random.key(0)
    )["params"]
    assert all("tokens" in params[name]["embeddings"] for name in ("generator", "discriminator"))


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_a_vocabulary_that_is_not_the_stores_is_refused_by_the_networks_name(vocabulary, name):
    config = Config(model=GeneratorDiscriminatorConfig(replace(ELECTRA), replace(ELECTRA)), objective=ReplacedTokens())
    getattr(config.model, name).vocab_size = 256
    with pytest.raises(UserError) as caught:
        resolve(config, vocabulary, device_count=None)
    assert str(caught.value) == f"model.{name}.vocab_size is 256, but the store's tokenizer needs 128 rows: leave it 0."


PAIR = GeneratorDiscriminatorConfig(ELECTRA, ELECTRA)
REFERENCE = (
    "objective.masking.duplicates is 'reference', which chooses single tokens and makes none random; set strategy to "
    "'tokens' and random_share to 0."
)


@pytest.mark.parametrize("kind", [ReplacedTokens, ReplaceMLM, AllTokensMLM])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"masking": GeneratorMasking(duplicates="twice")},
            "objective.masking.duplicates is 'twice'; it must be 'none' or 'reference'.",
        ),
        ({"masking": GeneratorMasking(duplicates="reference", strategy="whole_words")}, REFERENCE),
        ({"masking": GeneratorMasking(duplicates="reference", random_share=0.1)}, REFERENCE),
        (
            {"temperature": 0.0, "weight": 1.0},
            "objective.temperature is 0.0 and objective.weight 1.0; the first must be above 0, the second not below.",
        ),
        (
            {"temperature": 1.0, "weight": -2.0},
            "objective.temperature is 1.0 and objective.weight -2.0; the first must be above 0, the second not below.",
        ),
    ],
)
def test_settings_of_pairs_that_cannot_be_are_refused(vocabulary, kind, changes, sentence):
    with pytest.raises(UserError) as caught:
        kind(**changes).check(PAIR, "generator_discriminator", vocabulary, LENGTH)
    assert str(caught.value) == sentence
    kind().check(PAIR, "generator_discriminator", vocabulary, LENGTH)


@pytest.mark.parametrize(
    ("objective", "config", "kind", "length", "sentence"),
    [
        (
            ReplacedTokens(where="some"),
            PAIR,
            "generator_discriminator",
            24,
            "objective.where is 'some'; it must be 'all' or 'masked'.",
        ),
        (
            ReplacedTokens(),
            ELECTRA,
            "encoder",
            24,
            "The objective ReplacedTokens needs a network of kind 'generator_discriminator', but ElectraConfig "
            "is of kind 'encoder'; choose another objective or another network.",
        ),
        (
            MaskedLM(),
            PAIR,
            "generator_discriminator",
            24,
            "The objective MaskedLM needs a network of kind 'encoder' or 'two_stream', but "
            "GeneratorDiscriminatorConfig is of kind 'generator_discriminator'; choose another objective or "
            "another network.",
        ),
        (
            ReplacedTokens(),
            GeneratorDiscriminatorConfig(ELECTRA, OTHER_POSITIONS),
            "generator_discriminator",
            48,
            "Sequences of train.length=48 are longer than the 32 positions of GeneratorDiscriminatorConfig; lower "
            "train.length or raise model.max_positions.",
        ),
    ],
)
def test_what_does_not_fit_a_pair_is_refused(vocabulary, objective, config, kind, length, sentence):
    with pytest.raises(UserError) as caught:
        objective.check(config, kind, vocabulary, length)
    assert str(caught.value).startswith(sentence)
