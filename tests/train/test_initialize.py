"""Starting from other parameters: what fits is taken, missing heads are fresh, and what does not fit is named."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.checkpoints.state import State
from plmjax.errors import UserError
from plmjax.train.initialize import adapt_params, load_init_optimizer, load_init_params
from plmjax.train.loop import PretrainTrainer, pretrain
from plmjax.train.reporting import read_records
from tests.train.kit import tiny_config

VOCABULARY = 100


def params(rows: int = 128, width: int = 8, fill: float = 0.0, heads: bool = True) -> dict:
    """A tiny tree with a vocabulary table, a trunk and two heads."""
    tree = {
        "embeddings": {"tokens": {"embedding": jnp.full((rows, width), fill)}},
        "encoder": {"layers": {"mlp": {"up": {"kernel": jnp.full((2, width, 4), fill)}}}},
    }
    if heads:
        tree |= {"token_head": {"bias": jnp.full(rows, fill)}, "pooler": {"kernel": jnp.full((width, width), fill)}}
    return tree


def test_takes_all_that_fits() -> None:
    found, fresh, unused = adapt_params(params(fill=1.0), params(), VOCABULARY)
    jax.tree.map(np.testing.assert_array_equal, found, params(fill=1.0))
    assert fresh == unused == []


@pytest.mark.parametrize("rows", [100, 256])
def test_padding_rows_do_not_matter(rows: int) -> None:
    found, _, _ = adapt_params(params(rows, fill=1.0), params(), VOCABULARY)
    table = np.asarray(found["embeddings"]["tokens"]["embedding"])
    assert table.shape == (128, 8)
    assert (table[:VOCABULARY] == 1).all()
    assert found["token_head"]["bias"].shape == (128,)


def test_heads_may_be_missing_or_superfluous() -> None:
    found, fresh, unused = adapt_params(params(fill=1.0, heads=False), params(fill=2.0), VOCABULARY)
    assert fresh == ["pooler/kernel", "token_head/bias"]
    assert (np.asarray(found["pooler"]["kernel"]) == 2).all()
    _, fresh, unused = adapt_params(params(fill=1.0), params(heads=False), VOCABULARY)
    assert fresh == []
    assert unused == ["pooler/kernel", "token_head/bias"]


def without_up(tree: dict) -> dict:
    return tree | {"encoder": {}}


def with_more(tree: dict) -> dict:
    return tree | {"decoder": {"final_norm": {"scale": jnp.ones(8)}}}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (params(width=16), r"tensor 'embeddings/tokens/embedding' is \[128, 16\], but config.model needs \[128, 8\]"),
        (params(rows=64), r"'embeddings/tokens/embedding' is \[64, 8\]"),
        (without_up(params()), "lacks the tensor 'encoder/layers/mlp/up/kernel'"),
        (with_more(params()), "has the tensor 'decoder/final_norm/scale', which config.model lacks"),
    ],
)
def test_names_what_does_not_fit(source: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        adapt_params(source, params(), VOCABULARY)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which does not exist"):
        load_init_params(str(tmp_path / "nowhere"), "")
    with pytest.raises(UserError, match="no complete checkpoint"):
        load_init_params(str(tmp_path), "")


@pytest.mark.slow
def test_a_run_starts_from_another(tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A run, then a new one that begins with its parameters and so with a lower loss."""
    config, one = tiny_config(tiny_store), jax.devices()[:1]
    pretrain(config, tmp_path / "first", devices=one)
    result = pretrain(config, tmp_path / "second", init_from=str(tmp_path / "first"), devices=one)
    assert result.status == "finished"
    assert "fresh: none; unused: none" in capsys.readouterr().out
    early, later = (next(read_records(tmp_path / name / "metrics.jsonl"))["loss"] for name in ("first", "second"))
    assert later < early - 0.3
    pretrain(config, tmp_path / "second", devices=one)  # which need not name it again
    with pytest.raises(UserError, match=r"second started from .*/first, and --init_from names .*/second: leave it out"):
        pretrain(config, tmp_path / "second", init_from=str(tmp_path / "second"), devices=one)
    with pytest.raises(UserError, match=r"first started from random parameters, and --init_from names"):
        pretrain(config, tmp_path / "first", init_from=str(tmp_path / "second"), devices=one)
    with pytest.raises(UserError, match="has another tokenizer"):
        load_init_params(str(tmp_path / "first"), "another")


@pytest.mark.slow
def test_a_run_goes_on_with_another_s_moments(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BERT's second phase: Adam without bias correction takes a first step of 3.2 times the rate from empty moments."""
    config, one = tiny_config(tiny_store, optimizer__bias_correction=False), jax.devices()[:1]
    begun: list[Any] = []
    begin = PretrainTrainer.begin

    def seen(self: PretrainTrainer, state: State) -> None:
        begun.append(jax.device_get(state.opt_state))
        begin(self, state)

    pretrain(config, tmp_path / "first", devices=one)
    monkeypatch.setattr(PretrainTrainer, "begin", seen)
    goes_on = tiny_config(tiny_store, optimizer__bias_correction=False, train__carry_optimizer=True)
    with pytest.raises(UserError, match="carry_optimizer is True, but no --init_from names the run"):
        pretrain(goes_on, tmp_path / "none", devices=one)
    for name, given in (("anew", config), ("on", goes_on)):
        pretrain(given, tmp_path / name, init_from=str(tmp_path / "first"), devices=one)
    first = load_init_optimizer(str(tmp_path / "first"), jax.eval_shape(lambda: begun[0]))
    anew, on = (jax.tree.leaves(state) for state in begun)
    assert not any(np.any(leaf) for leaf in anew)
    for mine, theirs in zip(on, jax.tree.leaves(first), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert all(np.any(leaf) for leaf in on)
    other = tiny_config(tiny_store, train__carry_optimizer=True)
    with pytest.raises(UserError, match="belongs to another model or optimizer"):
        pretrain(other, tmp_path / "other", init_from=str(tmp_path / "first"), devices=one)
