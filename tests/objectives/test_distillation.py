"""A student that a teacher trains: what distillation computes, and where gradients go."""

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
from plmjax.modules.gpt import GPTConfig
from plmjax.objectives.distillation import Distillation
from plmjax.objectives.masked_lm import Masking
from plmjax.objectives.masking_strategies import AnyTokenMasking, MaskingStrategies
from plmjax.train.config import OptimizerConfig
from plmjax.train.optimizers import make_optimizer
from tests.modules.networks import paths
from tests.objectives.kit import corrupted, windows_of

LENGTH, ROWS = 24, 4
SMALL = {"vocab_size": 128, "num_layers": 1, "num_heads": 2, "d_model": 16, "d_ff": 32, "max_positions": 64}
DRY = {"dropout": 0.0, "attention_dropout": 0.0}
BERT = BertConfig(**SMALL, **DRY)
GPT = GPTConfig(**SMALL)
WIDER = DistillationConfig(BERT, teacher=replace(BERT, d_model=32))
WEIGHTS = "The weights objective.soft_targets, masked_lm and cosine must be at least 0, not all 0."


@pytest.fixture(scope="module")
def clean(split, vocabulary):
    return windows_of(Distillation(), split, vocabulary, LENGTH, ROWS)


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


@pytest.mark.parametrize("layers", [(0,), (0, 4), (-1, 2)])
def test_layers_that_the_teacher_lacks_are_refused(layers):
    config = DistillationConfig(replace(BERT, num_layers=2), teacher=replace(BERT, num_layers=4), layers=layers)
    with pytest.raises(UserError) as caught:
        config.copied_layers()
    assert str(caught.value) == (
        f"model.layers is {layers}: it must name 2 of the teacher's layers 0 to 3, one for each of the student's."
    )


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
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


@pytest.mark.parametrize(
    ("objective", "config", "kind", "length", "sentence"),
    [
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
