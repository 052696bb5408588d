"""The update rules against NumPy: layer by layer, as if nothing were stacked."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plmjax.checkpoints.paths import path_string
from plmjax.errors import UserError
from plmjax.modules import build
from plmjax.modules.bert import BertConfig
from plmjax.modules.t5 import T5Config
from plmjax.modules.xlnet import XLNetConfig
from plmjax.train.adafactor import adafactor
from plmjax.train.config import OptimizerConfig
from plmjax.train.optimizers import make_optimizer, no_biases_and_norms
from plmjax.train.schedules import make_schedule
from plmjax.train.weight_decay_mask import decays, is_stacked, matrix_axes

LAYERS = 3


def make_params(seed: int) -> dict:
    """Stacked and plain tensors, on both sides of Adafactor's smallest factored size."""
    rng = np.random.default_rng(seed)

    def new(*shape: int) -> jnp.ndarray:
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    layers = {
        "attention": {
            "query": {"kernel": new(LAYERS, 130, 2, 66), "bias": new(LAYERS, 2, 66)},
            "out": {"kernel": new(LAYERS, 2, 66, 130), "bias": new(LAYERS, 130)},
        },
        "mlp": {"up": {"kernel": new(LAYERS, 16, 140)}},
        "mlp_norm": {"scale": new(LAYERS, 130)},
    }
    return {"encoder": {"layers": layers}, "embeddings": {"tokens": {"embedding": 1e-4 * new(140, 130)}}}


def run(transform: optax.GradientTransformation, steps: int = 4, rate: float = 0.1) -> dict[str, np.ndarray]:
    """Parameters after some steps on random gradients."""
    params = make_params(0)
    state = transform.init(params)

    @jax.jit
    def step(params: dict, state: optax.OptState, gradients: dict) -> tuple:
        direction, state = transform.update(gradients, state, params)
        return jax.tree.map(lambda p, d: p - rate * d, params, direction), state

    for number in range(steps):
        params, state = step(params, state, make_params(100 + number))
    return {path_string(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


def matrices(path: str, tensor: np.ndarray) -> list[np.ndarray]:
    """The tensor as a list of layers, each a vector or a matrix."""
    layers = list(tensor) if "layers" in path else [tensor]
    if path.endswith("out/kernel"):
        return [layer.reshape(-1, layer.shape[-1]) for layer in layers]
    if path.endswith(("kernel", "embedding")):
        return [layer.reshape(layer.shape[0], -1) for layer in layers]
    return [layer.reshape(-1) for layer in layers]


def reference(rule: type, steps: int = 4, rate: float = 0.1) -> dict[str, np.ndarray]:
    """What `run` should give, by a NumPy rule that sees one layer's matrix at a time."""
    trees = [make_params(0), *(make_params(100 + number) for number in range(steps))]
    flat = [
        {path_string(path): np.asarray(leaf, np.float64) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in trees
    ]
    out = {}
    for path, start in flat[0].items():
        done = []
        for layer, weights in enumerate(matrices(path, start)):
            state = rule(path, weights)
            for number in range(steps):
                weights = weights - rate * state.direction(weights, matrices(path, flat[1 + number][path])[layer])
            done.append(weights)
        out[path] = np.stack(done).reshape(start.shape)
    return out


class NumpyAdafactor:
    """FACTS 1.2: decay 1 - (step + 1)^-0.8, clipping at RMS 1, scale of the parameter, no momentum."""

    def __init__(self, path: str, weights: np.ndarray) -> None:
        self.step = 0
        self.factored = weights.ndim == 2 and min(weights.shape) >= 128
        self.rows = self.columns = self.full = 0.0

    def direction(self, weights: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        decay = 1.0 - (self.step + 1.0) ** -0.8
        self.step += 1
        square = gradient**2 + 1e-30
        if self.factored:
            self.rows = decay * self.rows + (1 - decay) * square.mean(1)
            self.columns = decay * self.columns + (1 - decay) * square.mean(0)
            update = gradient / np.sqrt(self.rows / self.rows.mean())[:, None] / np.sqrt(self.columns)
        else:
            self.full = decay * self.full + (1 - decay) * square
            update = gradient / np.sqrt(self.full)
        update /= max(np.sqrt((update**2).mean()), 1.0)
        return update * max(np.sqrt((weights**2).mean()), 1e-3)


class NumpyAdagrad:
    """TensorFlow's: nothing but the sum of squares under the root, which starts from 1 here."""

    def __init__(self, path: str, weights: np.ndarray) -> None:
        self.squares = 1.0

    def direction(self, weights: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        self.squares = self.squares + gradient**2
        return gradient / np.sqrt(self.squares)


class NumpyLamb:
    """You et al. 2020, Algorithm 2, with bias correction, decay of matrices only and a trust ratio for all."""

    corrected, trusted, trusts_vectors, decays_vectors = True, True, True, False

    def __init__(self, path: str, weights: np.ndarray) -> None:
        self.step, self.mu, self.nu = 0, 0.0, 0.0
        self.decay = 0.01 if weights.ndim == 2 or self.decays_vectors else 0.0

    def direction(self, weights: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        self.step += 1
        self.mu = 0.9 * self.mu + 0.1 * gradient
        self.nu = 0.99 * self.nu + 0.01 * gradient**2
        mu, nu = self.mu, self.nu
        if self.corrected:
            mu, nu = mu / (1 - 0.9**self.step), nu / (1 - 0.99**self.step)
        update = mu / (np.sqrt(nu) + 1e-6) + self.decay * weights
        trusted = self.trusted and (weights.ndim == 2 or self.trusts_vectors)
        return update * np.linalg.norm(weights) / np.linalg.norm(update) if trusted else update


class NumpyReleasedLamb(NumpyLamb):
    """google-research/albert, lamb_optimizer.py:66-122: no correction, and no ratio of biases and norms."""

    corrected, trusts_vectors = False, False


class NumpyAdamW(NumpyLamb):
    trusted = False


class NumpyFairseqAdam(NumpyAdamW):
    decays_vectors = True


class NumpyBertAdam(NumpyAdamW):
    corrected = False


ADAM = {"b1": 0.9, "b2": 0.99, "eps": 1e-6, "weight_decay": 0.01}


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"name": "adafactor"}, NumpyAdafactor),
        ({"name": "adagrad", "initial_accumulator": 1.0}, NumpyAdagrad),
        (ADAM | {"name": "lamb", "exclude_from_layer_adaptation": "nothing"}, NumpyLamb),
        (ADAM | {"name": "lamb", "bias_correction": False}, NumpyReleasedLamb),
        (ADAM | {"name": "adamw"}, NumpyAdamW),
        (ADAM | {"name": "adamw", "bias_correction": False}, NumpyBertAdam),
        (ADAM | {"name": "adamw", "exclude_from_weight_decay": "nothing"}, NumpyFairseqAdam),
    ],
)
def test_against_numpy(settings: dict, rule: type) -> None:
    found, wanted = run(make_optimizer(OptimizerConfig(**settings))), reference(rule)
    for path in wanted:
        np.testing.assert_allclose(found[path], wanted[path], rtol=2e-4, atol=2e-5, err_msg=path)


def test_lamb_moves_a_bias_that_starts_at_zero() -> None:
    """ALBERT's recipe, 1,000 steps: Adam moves it by up to the rate a step, a trust ratio holds it by its length."""
    params = {"dense": {"kernel": jnp.full((4, 4), 0.02), "bias": jnp.zeros(4)}}
    gradient = jax.tree.map(jnp.ones_like, params)
    moved = {}
    for excluded in ("biases_and_norms", "nothing"):
        rule = make_optimizer(
            OptimizerConfig(
                name="lamb", eps=1e-6, bias_correction=False, weight_decay=0.01, exclude_from_layer_adaptation=excluded
            )
        )
        schedule = make_schedule(OptimizerConfig(learning_rate=0.00176, warmup_steps=3_125), 125_000)

        def step(number: int, carry: tuple, rule: optax.GradientTransformation = rule, rate: Any = schedule) -> tuple:
            at, state = carry
            direction, state = rule.update(gradient, state, at)
            return jax.tree.map(lambda p, d: p - rate(number) * d, at, direction), state

        last, _ = jax.jit(lambda start, step=step: jax.lax.fori_loop(0, 1_000, step, start))(
            (params, rule.init(params))
        )
        moved[excluded] = float(-last["dense"]["bias"][0])
    assert 0.2 < moved["biases_and_norms"] < 0.5
    assert moved["nothing"] < 1e-4


def test_adagrad_of_a_scaled_loss_is_adagrad_that_starts_lower() -> None:
    """ELMo's released code multiplies its loss by 20 and starts from 1."""
    gradient = make_params(1)
    directions = []
    for scale in (1.0, 20.0):
        rule = make_optimizer(OptimizerConfig(name="adagrad", initial_accumulator=scale**2 / 400))
        state = rule.init(gradient)
        for _ in range(3):
            direction, state = rule.update(jax.tree.map(lambda g, s=scale: s * g, gradient), state)
        directions.append(direction)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *directions)


def test_adafactor_is_optax_s_on_plain_matrices() -> None:
    rng = np.random.default_rng(0)
    params = {"kernel": jnp.asarray(rng.normal(size=(130, 140)), jnp.float32)}
    gradients = [{"kernel": jnp.asarray(rng.normal(size=(130, 140)), jnp.float32)} for _ in range(3)]
    ours, theirs = adafactor(), optax.adafactor(1.0, momentum=None, multiply_by_parameter_scale=True)
    our_state, their_state = ours.init(params), theirs.init(params)
    for gradient in gradients:
        direction, our_state = ours.update(gradient, our_state, params)
        update, their_state = theirs.update(gradient, their_state, params)
        np.testing.assert_allclose(direction["kernel"], -update["kernel"], rtol=1e-4, atol=1e-6)


def test_factored_moments_are_small() -> None:
    moments = adafactor().init(make_params(0)).moments
    query = moments["encoder/layers/attention/query/kernel"]
    assert query.full is None
    assert query.rows.shape == (LAYERS, 130)
    assert query.columns.shape == (LAYERS, 2, 66)
    assert moments["encoder/layers/mlp/up/kernel"].full.shape == (LAYERS, 16, 140)


def test_what_decays_in_real_networks() -> None:
    bert = build(BertConfig(vocab_size=128, num_layers=2, heads=("token", "pool", "next_sentence")))
    t5 = build(T5Config(vocab_size=128, num_layers=2))
    xlnet = build(XLNetConfig(vocab_size=128, num_layers=2))
    for module in (bert, t5, xlnet):
        shapes = jax.eval_shape(module.init, jax.random.key(0))["params"]
        mask = no_biases_and_norms(shapes)
        for path, decayed in jax.tree_util.tree_leaves_with_path(mask):
            name = path_string(path)
            # The last is the vector from which XLNet's queries start.
            expected = name.endswith(("kernel", "embedding", "embeddings/query")) and "relative_bias" not in name
            assert decayed == expected == decays(name), name


def test_layer_axis_and_matrices_come_from_the_path() -> None:
    assert is_stacked("encoder/layers/mlp/up/kernel")
    assert not is_stacked("pooler/kernel")
    assert matrix_axes("encoder/layers/attention/query/kernel", 4) == ((1,), (2, 3))
    assert matrix_axes("decoder/layers/cross_attention/out/kernel", 4) == ((1, 2), (3,))
    assert matrix_axes("encoder/layers/attention/query/bias", 3) is None
    assert matrix_axes("embeddings/tokens/embedding", 2) == ((0,), (1,))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "sgd"}, "optimizer.name is 'sgd': it must be one of adamw, adafactor, adagrad, lamb"),
        ({"name": "adafactor", "weight_decay": 0.1}, "weight_decay is 0.1, but adafactor has no use for it"),
        ({"name": "adagrad", "weight_decay": 0.1}, "weight_decay is 0.1, but adagrad has no use for it"),
        ({"name": "adafactor", "b1": 0.5}, "b1 is 0.5, but adafactor has no use for it: leave it at its default, 0.9"),
        ({"name": "adafactor", "b2": 0.5}, "b2 is 0.5, but adafactor"),
        ({"name": "adagrad", "b1": 0.5}, "b1 is 0.5, but adagrad"),
        ({"name": "adagrad", "b2": 0.5}, "b2 is 0.5, but adagrad"),
        ({"name": "adagrad", "eps": 0.5}, "eps is 0.5, but adagrad"),
        ({"name": "adafactor", "bias_correction": False}, "bias_correction is False, but adafactor"),
        ({"name": "adamw", "initial_accumulator": 0.2}, "initial_accumulator is 0.2, but adamw"),
        ({"exclude_from_layer_adaptation": "nothing"}, "exclude_from_layer_adaptation is 'nothing', but adamw"),
        ({"exclude_from_weight_decay": "biases"}, "is 'biases': it must be one of biases_and_norms, nothing"),
        ({"name": "adagrad", "initial_accumulator": 0.0}, "initial_accumulator is 0.0: it must be above 0"),
    ],
)
def test_mistakes(changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make_optimizer(OptimizerConfig(**changes))
