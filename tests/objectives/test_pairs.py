"""Two networks trained together: what ELECTRA's objectives and distillation compute, and where gradients go."""

import re
import sys
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from ml_collections import config_flags

from experiments.configs import distilbert
from plmjax.errors import UserError
from plmjax.losses.distillation import cosine_distance, softened_divergence
from plmjax.losses.likelihood import log_likelihood
from plmjax.modules import Bound, build
from plmjax.modules.bert import BertConfig
from plmjax.modules.distillation import DistillationConfig
from plmjax.modules.electra import ElectraConfig, pair
from plmjax.modules.generator_discriminator import GeneratorDiscriminatorConfig
from plmjax.modules.gpt import GPTConfig
from plmjax.noise import replacement
from plmjax.objectives.distillation import Distillation
from plmjax.objectives.masked_lm import MaskedLM, Masking
from plmjax.objectives.masking_strategies import AnyTokenMasking, MaskingStrategies
from plmjax.objectives.replaced_tokens import AllTokensMLM, GeneratorMasking, ReplacedTokens, ReplaceMLM, ranked
from plmjax.train.config import Config, OptimizerConfig
from plmjax.train.optimizers import make_optimizer
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


def heads(rng, count, width):
    return (rng.normal(size=(count, width)), rng.normal(size=(128, width)), rng.normal(size=128))


def test_losses_are_torchs():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    student, teacher = heads(rng, 7, 5), heads(rng, 7, 6)
    ours = [tuple(jnp.asarray(x, jnp.float32) for x in head) for head in (student, teacher)]

    def total(h):
        divergence = softened_divergence((h, *ours[0][1:]), ours[1], size=120, temperature=2.0, chunk=3)
        return jnp.mean(divergence)

    value, gradient = jax.jit(jax.value_and_grad(total))(ours[0][0])
    h = torch.tensor(student[0], requires_grad=True)

    def logits(h, table, bias):
        return (h @ torch.tensor(table).T + torch.tensor(bias))[:, :120]

    q = torch.log_softmax(logits(h, *student[1:]) / 2.0, -1)
    p = torch.softmax(logits(torch.tensor(teacher[0]), *teacher[1:]) / 2.0, -1)
    loss = torch.nn.KLDivLoss(reduction="batchmean")(q, p) * 4.0
    loss.backward()
    assert float(value) == pytest.approx(loss.item(), rel=1e-5)
    np.testing.assert_allclose(gradient, h.grad, atol=1e-5)

    x, y = rng.normal(size=(2, 4, 5))
    expected = torch.nn.CosineEmbeddingLoss()(torch.tensor(x), torch.tensor(y), torch.ones(4))
    assert float(cosine_distance(jnp.asarray(x), jnp.asarray(y)).mean()) == pytest.approx(float(expected), rel=1e-5)

    targets = np.array([0, 5, 119, 7, 8, 3, 1])
    found = log_likelihood(*ours[0], jnp.asarray(targets), size=120, chunk=3)
    expected = torch.log_softmax(logits(torch.tensor(student[0]), *student[1:]), -1)[
        torch.arange(7), torch.tensor(targets)
    ]
    np.testing.assert_allclose(found.log_p, expected, atol=1e-5)


def test_layers_of_the_teacher():
    def copied(there, wanted, layers=None):
        config = DistillationConfig(BertConfig(num_layers=wanted), teacher=BertConfig(num_layers=there), layers=layers)
        return config.copied_layers()

    assert copied(12, 6) == (0, 2, 4, 7, 9, 11)  # the released script
    assert copied(4, 2) == (0, 3) and copied(3, 3) == (0, 1, 2) and copied(12, 2, (1, 5)) == (1, 5)


def test_a_student_s_positions_stay_where_it_says_so(clean, vocabulary):
    """No gradient, no moments and no decay for them, as DistilBERT was released; all else of it learns."""
    config = BertConfig(**SMALL, **DRY)
    pair = DistillationConfig(replace(config), teacher=replace(config, num_layers=2), freeze_positions=True)
    module, objective = build(pair), Distillation()
    params = module.init(jax.random.key(0))["params"]
    optimizer = make_optimizer(OptimizerConfig(weight_decay=0.1), module.frozen)
    state = optimizer.init(params)
    assert not any("student/embeddings/positions" in path for path in paths(state))
    assert any("student/embeddings/tokens" in path for path in paths(state))
    batch = corrupted(objective, vocabulary, clean)

    def loss(params):
        losses, _ = objective.losses(Bound(module, params, jax.random.key(1)), batch, vocabulary, True)
        return sum(term.mean() for term in losses.values())

    direction, _ = optimizer.update(jax.jit(jax.grad(loss))(params), state, params)
    assert not np.any(direction["student"]["embeddings"]["positions"]["embedding"])
    assert np.any(direction["student"]["embeddings"]["tokens"]["embedding"])
    with pytest.raises(UserError, match="whose positions would never be learned"):
        build(replace(pair, initialise="random"))


def test_the_teacher_stays_as_it_is(clean, vocabulary):
    """No gradient, no moments and no decay for it."""
    objective = Distillation()
    config = BertConfig(**SMALL, **DRY)
    module = build(DistillationConfig(replace(config), teacher=replace(config, num_layers=2)))
    params = module.init(jax.random.key(0))["params"]
    optimizer = make_optimizer(OptimizerConfig(weight_decay=0.1), module.frozen)
    state = optimizer.init(params)
    assert not any("teacher" in path for path in paths(state))
    batch = corrupted(objective, vocabulary, clean)

    def loss(params, objective=objective):
        losses, _ = objective.losses(Bound(module, params, jax.random.key(1)), batch, vocabulary, True)
        weights = objective.coefficients()
        return sum(weights[name] * term.mean() for name, term in losses.items()), losses

    gradients, losses = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert set(losses) == {"masked_lm", "soft_targets", "cosine"}
    direction, _ = optimizer.update(gradients, state, params)
    assert not any(np.any(x) for x in jax.tree.leaves(direction["teacher"]))
    assert all(np.any(x) for x in jax.tree.leaves(direction["student"]["encoder"]))
    alone = Distillation(soft_targets=0.0, cosine=0.0)
    assert set(jax.eval_shape(partial(loss, objective=alone), params)[1]) == {"masked_lm"}


@pytest.mark.filterwarnings("ignore:the load_module")  # ml_collections loads a configuration so
def test_the_flags_of_distilberts_masking_draw_with_count_to_the_minus_alpha(vocabulary, monkeypatch):
    """As the configuration's docstring gives them: one prediction a window, and shares of tokens as count^-0.7."""
    given = re.findall(r"--config\.objective\S+=\S+", distilbert.__doc__)
    argv = ["program", f"--config={distilbert.__file__}:mini", *given]
    monkeypatch.setattr(sys, "argv", argv)
    values = flags.FlagValues()
    config = config_flags.DEFINE_config_file("config", flag_values=values)
    values(argv)
    masking = config.value.objective.masking
    assert masking == Masking(strategy="any_tokens", strategies=MaskingStrategies(any_tokens=AnyTokenMasking(0.7)))
    draws, tokens = 10_000, np.arange(7, 15)
    counts = np.zeros(vocabulary.padded_size, np.int64)
    counts[tokens] = 10 ** np.arange(len(tokens))
    counted = replace(vocabulary, token_counts=counts)
    objective = Distillation(masking=replace(masking, rate=0.1))
    example = {"tokens": jnp.asarray([4, *tokens, 5], jnp.int32), "segments": jnp.ones(10, jnp.int32)}
    keys = jax.random.split(jax.random.key(0), draws)
    batch = jax.jit(jax.vmap(lambda key: objective.corrupt(key, example, counted)))(keys)
    assert (np.asarray(batch["weights"]).sum(1) == 1).all()
    drawn = np.bincount(np.asarray(batch["targets"])[:, 0], minlength=15)[7:]
    expected = counts[tokens] ** -0.7
    expected *= draws / expected.sum()
    # The rarest have enough draws for a share each; the others count as one.
    drawn, expected = (np.array([*x[:4], x[4:].sum()]) for x in (drawn, expected))
    assert ((drawn - expected) ** 2 / expected).sum() < 18.5  # chi-square, 4 degrees of freedom, 0.1%


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
        (
            DistillationConfig(BERT, teacher=GPT),
            "The teacher must be an encoder, but GPTConfig is of kind 'decoder'; choose another network.",
        ),
        (
            DistillationConfig(GPT, teacher=BERT),
            "The student must be an encoder, but GPTConfig is of kind 'decoder'; choose another network.",
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


WIDER = DistillationConfig(BERT, teacher=replace(BERT, d_model=32))
WEIGHTS = "The weights objective.soft_targets, masked_lm and cosine must be at least 0, not all 0."


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
        (Distillation(where="some"), WIDER, "distillation", 24, "objective.where is 'some'; it must be 'all' or"),
        (Distillation(temperature=0.0), WIDER, "distillation", 24, "objective.temperature is 0.0; it must be above 0."),
        (Distillation(cosine=-1.0), WIDER, "distillation", 24, WEIGHTS),
        (Distillation(soft_targets=0.0, masked_lm=0.0, cosine=0.0), WIDER, "distillation", 24, WEIGHTS),
        (
            Distillation(),
            WIDER,
            "distillation",
            24,
            "objective.cosine compares states, but the student's are 16 wide and the teacher's 32; set it to 0 or give "
            "the student the teacher's width.",
        ),
    ],
)
def test_what_does_not_fit_a_pair_is_refused(vocabulary, objective, config, kind, length, sentence):
    with pytest.raises(UserError) as caught:
        objective.check(config, kind, vocabulary, length)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("layers", [(0,), (0, 4), (-1, 2)])
def test_layers_that_the_teacher_lacks_are_refused(layers):
    config = DistillationConfig(replace(BERT, num_layers=2), teacher=replace(BERT, num_layers=4), layers=layers)
    with pytest.raises(UserError) as caught:
        config.copied_layers()
    assert str(caught.value) == (
        f"model.layers is {layers}: it must name 2 of the teacher's layers 0 to 3, one for each of the student's."
    )
