"""Every recipe loads, its sweep sets what there is, and the tasks have names."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
from absl import flags
from ml_collections import config_flags

from experiments import _main
from experiments.cells.sweep import at_point, grid, name_of, run_sweep
from plmjax.checkpoints.serialize import from_json, to_json
from plmjax.decode import GenerationConfig
from plmjax.errors import UserError
from plmjax.finetune.folds import run_folds
from plmjax.finetune.loop import check
from plmjax.finetune.results import Results, SeedResult
from plmjax.tasks.registry import named

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs" / "finetune"
PAPERS = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem not in ("__init__", "common", "tasks"))


def module(paper: str):
    return importlib.import_module(f"experiments.configs.finetune.{paper}")


def variants(paper: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        module(paper).get_config("no such variant")
    return re.search(r"choose one of (.*)\.$", str(caught.value))[1].split(", ")


ALL = [(paper, variant) for paper in PAPERS for variant in variants(paper)]


def test_the_papers_are_there():
    assert {"bert", "roberta", "gpt", "xlnet", "electra", "deberta", "mini"} <= set(PAPERS)


@pytest.mark.parametrize(("paper", "variant"), ALL)
def test_recipe_is_whole_and_survives_json(paper, variant):
    recipe = module(paper).get_config(variant)
    check(recipe, 1)
    assert from_json(to_json(recipe)) == recipe
    for point in getattr(module(paper), "sweep", lambda variant: ())(variant):
        changed = at_point(recipe, point)
        check(changed, 1)
        assert recipe == module(paper).get_config(variant)
    text = module(paper).__doc__
    assert f"--config=experiments/configs/finetune/{paper}.py" in text
    assert re.search(rf"^\| {variant} \|", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("variant", "eps"), [("stsb", 1e-8), ("texts", 1e-8), ("race", 1e-6), ("squad", 1e-6), ("squad_base", 1e-6)]
)
def test_xlnet_fine_tunes_with_a_corrected_adam(variant, eps):
    """Without weight decay the released code takes TensorFlow's (zihangdai/xlnet, model_utils.py 130-133)."""
    optimizer = module("xlnet").get_config(variant).optimizer
    assert (optimizer.bias_correction, optimizer.weight_decay, optimizer.eps) == (True, 0.0, eps)


def test_no_two_recipes_have_a_name():
    names = [module(paper).get_config(variant).name for paper, variant in ALL]
    assert len(set(names)) == len(names)


def test_a_grid_has_every_combination():
    points = list(grid(optimizer__learning_rate=(1e-5, 2e-5), train__batch_size=(16, 32)))
    assert len(points) == 4
    assert points[0] == {"optimizer.learning_rate": 1e-5, "train.batch_size": 16}
    assert name_of(points[0]) == "learning_rate=1e-05,batch_size=16"
    assert at_point(module("bert").get_config(), points[-1]).train.batch_size == 32
    with pytest.raises(UserError, match="The sweep sets 'train.batchsize', which the recipe does not have"):
        at_point(module("bert").get_config(), {"train.batchsize": 3})


def test_a_sweep_takes_the_best_median(tmp_path):
    values = {1e-5: (0.5, 0.9, 0.5), 2e-5: (0.6, 0.6, 0.7), 3e-5: (0.1, 0.2, 0.9)}
    made = []

    def run(recipe, folder):
        made.append(recipe.optimizer.learning_rate)
        if recipe.optimizer.learning_rate not in values:
            raise UserError("The rate is too high.")
        found = values[recipe.optimizer.learning_rate]
        runs = [SeedResult(seed, 1, 1, False, {"validation": {"f1": x}}, 1.0, 1.0) for seed, x in enumerate(found)]
        return Results(runs, runs[0], {"validation": 5}, {})

    def sweep(*rates, about=None):
        points = list(grid(optimizer__learning_rate=rates))
        return run_sweep(module("bert").get_config(), points, "f1", tmp_path, run, about or {"checkpoint": "a"})

    report = sweep(*values)
    assert [measure.value for measure in report.measures] == [0.5, 0.6, 0.2]
    assert report.notes[0].startswith("best f1: 0.6000 with learning_rate=2e-05, in ")
    assert (tmp_path / "results.json").exists()
    report = sweep(*values, 9.0)  # the points that are done are not run again, and a failed one is named
    assert made == [*values, 9.0] and report.notes[1:] == ["failed: learning_rate=9.0"]
    sweep(1e-5, about={"checkpoint": "b"})
    assert made[4:] == [1e-5]
    with pytest.raises(UserError, match="Every point of the sweep failed"):
        sweep(9.0)
    with pytest.raises(UserError, match="has no sweep for this variant"):
        run_sweep(module("bert").get_config(), [], "f1", tmp_path, run, {})


def test_folds_count_by_their_examples(tmp_path):
    seen = []

    def run(task, folder):
        seen.append((task.fold, folder.name))
        value, count = [(0.5, 10), (0.8, 20)][task.fold]
        runs = [SeedResult(seed, 1, 1, False, {"validation": {"f1": value + seed}}, 1.0, 1.0) for seed in range(3)]
        return Results(runs, runs[0], {"validation": count}, {})

    task = named("xquad")
    task.folds = 2
    report = run_folds(task, tmp_path, run)
    assert seen == [(0, "fold_0"), (1, "fold_1")]
    assert report.measures[0].value == pytest.approx(0.7 + 1)  # of three seeds the second
    assert report.measures[0].count == 30
    task.validation = "somewhere"
    with pytest.raises(UserError, match="There are no folds"):
        run_folds(task, tmp_path, run)


def test_a_group_is_held_out_as_a_whole(tmp_path):
    rows = [{"text": f"t{number}", "label": "ab"[number % 2], "article": number // 3} for number in range(12)]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    held = []
    for fold in range(2):
        task = named("classification")
        task.train, task.group, task.folds, task.fold = str(file), "article", 2, fold
        splits = task.splits()
        groups = {name: {example.group for example in found} for name, found in splits.items()}
        assert not groups["train"] & groups["validation"]
        held += [example.id for example in splits["validation"]]
    assert sorted(held) == sorted(f"{file}:{number}" for number in range(1, 13))


def test_a_task_by_its_name_and_with_fields_of_its_own(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--task=sst2", "--task.train=my.tsv", "--task.test=a.tsv"])
    _main.expand_names("task", CONFIGS / "tasks.py")
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file("task", f"{CONFIGS / 'tasks.py'}:classification", "", flag_values=values)
    values(sys.argv)
    assert holder.value.train == "my.tsv"
    assert holder.value.test == ("a.tsv",)
    assert holder.value.labels == ("negative", "positive")
    assert _main.variant_of("task") == "sst2"
    monkeypatch.setattr(sys, "argv", ["x", "--task=mine.py", "--task.train=my.tsv"])
    _main.expand_names("task", CONFIGS / "tasks.py")
    assert sys.argv[1] == "--task=mine.py"
    assert _main.variant_of("task") == ""


def test_generation_settings_are_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ("num_beams=3", "early_stopping=never", "max_new_tokens=9", "bad_words_ids=((3,4),)")
    monkeypatch.setattr(sys, "argv", ["finetune", *(f"--recipe.generation.{one}" for one in given)])
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("recipe", str(CONFIGS / "mini.py"), flag_values=values)
    values(sys.argv)
    assert values.recipe.generation == GenerationConfig(
        num_beams=3, early_stopping="never", max_new_tokens=9, bad_words_ids=((3, 4),)
    )
