"""What moves and what stays: adapters, and layers that are freed from the top down."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import plmjax
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.finetune.loop import finetune
from plmjax.finetune.network import filler
from plmjax.finetune.update_strategies import Adapters, GradualUnfreezing
from plmjax.interop.weight_map import flatten
from plmjax.modules import FAMILIES, Bound, build
from plmjax.train.state import parameter_count
from tests.finetune.kit import checkpoint, recipe
from tests.finetune.test_loop import make_task

STACKS = {"bart": "decoder", "bert": "encoder", "gpt": "decoder", "deberta": "encoder", "xlnet": "encoder"}


def shapes_of(config: Any) -> Any:
    return jax.eval_shape(build(replace(config, vocab_size=40)).init, jax.random.key(0))["params"]


@pytest.mark.parametrize("family", list(STACKS))
def test_every_stack_has_a_place_for_adapters(family: str) -> None:
    """Only adapters are added, of their width in each layer, and the count is of them, the norms and the heads."""
    config = replace(
        FAMILIES[family].variants["tiny"], **({} if family == "gpt" else {"heads": ("sequence_classification",)})
    )
    rule = Adapters(5)
    plain, adapted = (flatten(shapes_of(replace(config, **change))) for change in ({}, rule.config_changes(config)))
    added = {path: leaf.shape for path, leaf in adapted.items() if path not in plain}
    width, layers = config.d_model, config.num_layers
    where = f"{STACKS[family]}/layers/mlp/adapter"
    assert added[f"{where}/up/kernel"] == (layers, width, 5) and added[f"{where}/down/kernel"] == (layers, 5, width)
    assert all("/mlp/adapter/" in path for path in added)
    moving = {path for path in adapted if rule.trainable(path)}
    assert set(added) <= moving
    rest = {path for path in moving - set(added) if "class_head" not in path and "pooler" not in path}
    assert all(path.endswith(("norm/scale", "norm/bias")) for path in rest)
    assert rest == {path for path in adapted if "norm/" in path and "head" not in path}
    assert rule.num_trainable(shapes_of(replace(config, adapter_width=5))) == sum(adapted[path].size for path in moving)


def test_adapters_begin_as_nothing(tokenizer: Tokenizer) -> None:
    """The same states, from the checkpoint's parameters and fresh adapters."""
    pretrained = checkpoint(tokenizer, "t5", heads=("token",))
    config = replace(pretrained.config, adapter_width=4)
    module = build(config)
    fresh = jax.jit(lambda: module.init(jax.random.key(3))["params"])()
    backbone = type("Backbone", (), {"new_tokens": 0})
    params, names, unused = filler(pretrained, backbone)(fresh)  # type: ignore[arg-type]
    assert len(names) == 4 and all("/mlp/adapter/" in name for name in names) and not unused
    tokens = jnp.asarray(np.random.default_rng(0).integers(3, 200, (2, 6)), jnp.int32)

    @partial(jax.jit, static_argnums=0)
    def states(module: Any, params: Any) -> jax.Array:
        network = Bound(module, params)
        return network.decode(tokens, network.encode(tokens))

    before, after = states(pretrained.module, pretrained.params), states(module, params)
    np.testing.assert_array_equal(before, after)
    moved = jax.tree.map(lambda leaf: leaf + 0.1, params["decoder"]["layers"]["mlp"]["adapter"])
    params["decoder"]["layers"]["mlp"]["adapter"] = moved
    assert np.abs(states(module, params) - before).max() > 1e-3


@pytest.mark.slow
def test_what_stays_stays_to_the_bit(tokenizer: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pretrained, given = checkpoint(tokenizer, "t5"), recipe(steps=3, buckets=1)
    given.update_strategy = Adapters(4)
    finetune(pretrained, make_task(tmp_path), given, tmp_path / "run", devices=jax.devices()[:1])
    loaded = plmjax.load(tmp_path / "run")
    assert loaded.config.adapter_width == 4
    before, after = flatten(pretrained.params), flatten(loaded.params)
    moved = {path for path, leaf in after.items() if path not in before or not np.array_equal(leaf, before[path])}
    norms = {path for path in after if path.endswith("norm/scale")}
    adapters = {path for path in after if "/mlp/adapter/" in path}
    heads = {path for path in after if path.startswith("class_head/")}
    assert moved == norms | adapters | heads
    assert any(np.any(after[path]) for path in adapters if "/down/" in path)
    numbers = sum(np.size(after[path]) for path in moved)
    assert f"{numbers:,} of them trained" in capsys.readouterr().out
    with pytest.raises(UserError, match="have no adapters"):
        plmjax.save_huggingface(loaded, tmp_path / "exported")


def test_the_optimizer_keeps_nothing_of_what_stays() -> None:
    config = replace(FAMILIES["t5"].variants["tiny"], adapter_width=4)
    shapes, rule = shapes_of(config), Adapters(4)
    state = jax.eval_shape(rule.wrap_optimizer(optax.scale_by_adam(), config, 9).init, shapes)
    assert parameter_count(state) == 2 * rule.num_trainable(shapes) + 1


def test_layers_are_freed_from_the_top_down() -> None:
    """An encoder of 2 layers and a decoder of 3 over 6 steps."""
    config = replace(FAMILIES["t5"].variants["tiny"], num_decoder_layers=3, heads=("sequence_classification",))
    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes_of(config))
    rule = GradualUnfreezing().wrap_optimizer(optax.identity(), config, 6)
    state = rule.init(ones)
    seen: dict[str, list[Any]] = {"encoder": [], "decoder": []}
    for _ in range(6):
        out, state = rule.update(ones, state, ones)
        flat = flatten(jax.device_get(out))
        for stack in ("encoder", "decoder"):
            kernels = [flat[f"{stack}/layers/{path}"] for path in ("mlp/up/kernel", "attention_norm/scale")]
            free = [[bool(layer.all()) for layer in kernel] for kernel in kernels]
            assert free[0] == free[1]
            seen[stack].append(free[0])
            assert bool(flat[f"{stack}/relative_bias/embedding"].all()) == free[0][0]
            assert flat[f"{stack}/final_norm/scale"].all()
        assert flat["embeddings/tokens/embedding"].all() and flat["class_head/out/kernel"].all()
    assert seen["encoder"] == [[False, True]] * 3 + [[True, True]] * 3
    assert seen["decoder"] == [[False, False, True]] * 2 + [[False, True, True]] * 2 + [[True, True, True]] * 2


def test_bad_settings() -> None:
    with pytest.raises(UserError, match=r"update_strategy.width is 0: it must be at least 1"):
        Adapters(0).config_changes(FAMILIES["t5"].variants["tiny"])
    with pytest.raises(UserError, match="A TransformerXLConfig has no adapters"):
        Adapters(3).config_changes(FAMILIES["transformer_xl"].variants["tiny"])
    with pytest.raises(UserError, match="share their parameters"):
        GradualUnfreezing().wrap_optimizer(optax.identity(), FAMILIES["albert"].variants["tiny"], 3)
