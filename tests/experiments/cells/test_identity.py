"""A cell's identity changes with what decides its result, and with nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.cells.identity import FREE_OF_RECIPES, checkpoint_identity, config_identity, source_identity
from plmjax.checkpoints.checkpointer import commit, epath
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune


def test_a_source_is_known_by_its_content_and_a_name_by_itself(tmp_path: Path) -> None:
    one, other = tmp_path / "a.tsv", tmp_path / "b.tsv"
    one.write_text("a\t0\n")
    other.write_text("a\t0\n")
    both = source_identity(f"{one},{other}")
    assert both[0] == both[1] == source_identity(str(one))[0]
    other.write_text("a\t1\n")
    assert source_identity(f"{one},{other}") != both
    assert source_identity("tfds:glue/sst2:train") == ["tfds:glue/sst2:train"]
    assert source_identity("") == []


def test_a_checkpoint_is_known_by_what_it_holds(tmp_path: Path) -> None:
    foreign, own = tmp_path / "hf", tmp_path / "run"
    foreign.mkdir()
    (foreign / "config.json").write_text("{}")
    (foreign / "model.safetensors").write_bytes(b"1")
    before = checkpoint_identity(foreign)
    (foreign / "model.safetensors").write_bytes(b"2")
    assert checkpoint_identity(foreign) != before
    for step, content in ((1, b"a"), (2, b"a"), (3, b"b")):
        folder = own / "checkpoints" / str(step)
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(content)
        commit(epath.Path(folder), {"config": {}})
    keys = [checkpoint_identity(own / "checkpoints" / str(step)) for step in (1, 2, 3)]
    assert keys[0] == keys[1] != keys[2] == checkpoint_identity(own)
    with pytest.raises(UserError, match="no complete checkpoint"):
        checkpoint_identity(tmp_path / "nothing")


def test_a_recipe_without_what_changes_no_result() -> None:
    recipe = FineTune()
    quiet = replace(recipe, name="other", train=replace(recipe.train, log_every=7, tensorboard=False))
    longer = replace(recipe, train=replace(recipe.train, epochs=7.0))
    assert config_identity(quiet, FREE_OF_RECIPES) == config_identity(recipe, FREE_OF_RECIPES)
    assert config_identity(longer, FREE_OF_RECIPES) != config_identity(recipe, FREE_OF_RECIPES)
