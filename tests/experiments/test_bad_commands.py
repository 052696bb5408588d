"""Every script with every kind of bad input: exit status 2, one line, no traceback, nothing removed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from plmjax.interop import save
from tests.finetune.kit import checkpoint, tokenizer_in
from tests.train.kit import REPOSITORY

LONG = "a" * 300
PRETRAIN = "experiments.pretrain --config=gpt2.py:builtin --workdir={new}"
FINETUNE = "experiments.finetune --from={model} --task=classification --workdir={new}"
# What is wrong -> the command, with names of the fixture's files in braces, and a part of the sentence.
COMMANDS = {
    # folders
    "a folder that is a file": ("experiments.pretrain --workdir={file}", "can't be written: it is a file"),
    "a folder below a file": ("experiments.pretrain --workdir={file}/a", "a part of its path is a file"),
    "a loop of links": ("experiments.pretrain --workdir={loop}", "can't be written"),
    "a name that is too long": (f"experiments.pretrain --workdir={{root}}/{LONG}", "its name is too long"),
    "a folder of the system": ("experiments.pretrain --workdir=/proc/none", "can't be written"),
    "prepare into a file": ("experiments.prepare --input={text} --workdir={file}", "can't be written: it is a file"),
    "prepare into a run": ("experiments.prepare --input={text} --workdir={run}", "holds a pre-training run"),
    "pretrain into a store": ("experiments.pretrain --workdir={store}", "holds a token store"),
    "finetune into a run": (f"{FINETUNE} --task.train={{tsv}} --workdir={{run}}", "holds a pre-training run"),
    "evaluate into a file": ("experiments.evaluate --from={run} --workdir={file}", "can't be written: it is a file"),
    "evaluate into a run": ("experiments.evaluate --from={run} --workdir={run}", "holds a pre-training run"),
    "convert into a run": ("experiments.convert --from={run} --to_hf={run}", "is not empty: name a new folder"),
    "benchmark below a file": ("experiments.benchmark --workdir={file}", "a part of its path is a file"),
    # configurations
    "a text as configuration": ("experiments.pretrain --config={text}", "is not Python"),
    "a folder as configuration": ("experiments.pretrain --config={root}", "Is a directory"),
    "no such configuration": ("experiments.pretrain --config=none.py", "There is no configuration file"),
    "a number as configuration": ("experiments.pretrain --config={three}", "type int, and this script needs Config"),
    "another script's": ("experiments.pretrain --config=finetune/mini.py", "FineTune, and this script needs Config"),
    "no such variant": ("experiments.pretrain --config=gpt2.py:huge", "huge"),
    "no such field": (f"{PRETRAIN} --config.train.step=3", "has no field 'step'"),
    "no such flag": (f"{PRETRAIN} --stepss=3", "stepss"),
    "a word for a number": (f"{PRETRAIN} --config.train.steps=many", "many"),
    "a word too many": (f"{PRETRAIN} now", "Unexpected argument 'now'"),
    "heads that do not divide": (f"{PRETRAIN} --config.model.num_heads=7", "it must divide d_model"),
    "no layers": (f"{PRETRAIN} --config.model.num_layers=0", "num_layers is 0: it must be above 0"),
    "a negative width": (f"{PRETRAIN} --config.model.d_ff=-1", "d_ff is -1: it must be above 0"),
    "no such activation": (f"{PRETRAIN} --config.model.activation=foo", "activation is 'foo': it must be one of"),
    "no such dtype": (f"{PRETRAIN} --config.model.dtype=int8", "dtype is 'int8': it must be one of"),
    "dropout below 0": (f"{PRETRAIN} --config.model.dropout=-0.1", "dropout is -0.1: it must be at least 0"),
    "dropout that is no number": (f"{PRETRAIN} --config.model.dropout=nan", "dropout is nan"),
    "eps below 0": (f"{PRETRAIN} --config.model.norm_eps=-1.0", "norm_eps is -1.0: it must be above 0"),
    "a rate that is no number": (f"{PRETRAIN} --config.optimizer.learning_rate=nan", "learning_rate is nan"),
    "an infinite rate": (f"{PRETRAIN} --config.optimizer.learning_rate=inf", "learning_rate is inf"),
    "no such optimizer": (f"{PRETRAIN} --config.optimizer.name=sgd", "optimizer.name is 'sgd'"),
    "no such schedule": (f"{PRETRAIN} --config.optimizer.schedule=step", "optimizer.schedule is 'step'"),
    "a long warm-up": (f"{PRETRAIN} --config.train.steps=2", "warm up for fewer steps"),
    "no steps": (f"{PRETRAIN} --config.train.steps=0", "train.steps is 0"),
    "a batch of none": (f"{PRETRAIN} --config.train.batch_size=0", "train.batch_size is 0"),
    "a store that is not there": (f"{PRETRAIN} --config.data.store={{root}}/stroe", "there is no token store"),
    "a process of one": (f"{PRETRAIN} --process_id=1", "give their number with --processes"),
    "no masking": (
        "experiments.pretrain --config=bert.py:tiny --workdir={new} --config.objective.masking.rate=0.0",
        "masking.rate is 0.0; it must be above 0",
    ),
    "a share below 0, shown": (
        "experiments.pretrain --config=bert.py:tiny --workdir={new} --dump_examples=1 "
        "--config.objective.masking.random_share=-0.1",
        "random_share is -0.1",
    ),
    "no start": (f"{PRETRAIN} --init_from={{root}}/none", "none"),
    # texts
    "no such text": ("experiments.prepare --input={root}/none.txt --workdir={new}", "No files match"),
    "a loop of a text": ("experiments.prepare --input={loop} --workdir={new}", "No files match"),
    "JSON nested too deeply": ("experiments.prepare --input={deep} --workdir={new}", "Nested too deeply at column 1"),
    "JSON that is a list": ("experiments.prepare --input={list} --workdir={new}", "has no field 'text' but a list"),
    "bytes that are no text": ("experiments.prepare --input={latin} --workdir={new}", "is not UTF-8"),
    "a text twice": ("experiments.prepare --input={text},{text} --workdir={new}", "twice: name each file once"),
    "one document": ("experiments.prepare --input={text} --workdir={new}", "documents=lines"),
    "an old flag": (
        "experiments.prepare --input={text} --workdir={new} --blank_lines=documents", "blank_lines"
    ),
    "a suffix of none": ("experiments.prepare --input={three} --workdir={new}", ".py"),
    # checkpoints
    "a file as checkpoint": ("experiments.generate --from={file} --prompt=x", "There is no complete checkpoint"),
    "no checkpoint": ("experiments.evaluate --from={root}/none", "There is no checkpoint"),
    "no weights": ("experiments.convert --from_hf={no_weights} --to={new}", "holds no weights"),
    "a config that is a list": ("experiments.convert --from_hf={list_config} --to={new}", "is a JSON list"),
    "a config cut off": ("experiments.convert --from_hf={cut_config} --to={new}", "is not JSON"),
    "weights that are none": ("experiments.convert --from_hf={bad_weights} --to={new}", "can't be read as safetensors"),
    "an index that is none": ("experiments.convert --from_hf={bad_index} --to={new}", "is no index of weights"),
    "both ways": ("experiments.convert --from_hf={run} --from={run}", "Give either --from_hf and --to"),
    "no run to compare": ("experiments.compare --runs={file}", "has no validated run"),
    "beams for masks": (
        "experiments.generate --from={model} --prompt=[MASK] --num_beams=4", "fills masks, for which num_beams means"
    ),
    # tasks
    "no checkpoint named": ("experiments.finetune --task=sst2", "--from is missing"),
    "no task": ("experiments.finetune --from={model} --workdir={new}", "name a task with --task=NAME"),
    "no such task": ("experiments.finetune --from={model} --task=sst3", "No task is named 'sst3'"),
    "no such examples": (f"{FINETUNE} --task.train={{root}}/none.tsv", "No files match"),
    "a label that is none": (f"{FINETUNE} --task.train={{null}}", "null.jsonl:2 has no label in 'label' (None)"),
    "an infinite rate to learn a task": (
        f"{FINETUNE} --task.train={{tsv}} --config.optimizer.learning_rate=inf", "learning_rate is inf: it must be"
    ),
}  # fmt: skip

# What is next to a mistake and is none -> the command, and a part of what it prints.
GOOD = {
    "masks filled": ("experiments.generate --from={model} --prompt=[MASK] --top_k=2", "mask 1"),
    "masks filled, as many as usual": ("experiments.generate --from={model} --prompt=[MASK]", "mask 1"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("files")
    contents = {
        "file": "no folder\n",
        "text.txt": "Hello there. This is a text.\n\nAnother one.\n",
        "three.py": "def get_config(variant=''):\n    return 3\n",
        "deep.jsonl": '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}\n",
        "list.jsonl": "[1, 2]\n",
        "null.jsonl": '{"text": "it was", "label": 1}\n{"text": "it is", "label": null}\n',
        "task.tsv": "text\tlabel\nit was good\t1\nit was bad\t0\n",
        "run/checkpoints/5/manifest.json": json.dumps(
            {"config": {"model": {}, "objective": {}}, "files": {"x": [1, 1]}}
        ),
        "run/metrics.jsonl": "{}\n",
        "store/manifest.json": "{}",
        "store/tokenizer/vocab.txt": "a\n",
        "no_weights/config.json": '{"model_type": "bert"}',
        "list_config/config.json": "[1, 2]",
        "cut_config/config.json": '{"model_type": "bert", "num_attention_heads": 5',
        "bad_weights/config.json": '{"model_type": "bert"}',
        "bad_weights/model.safetensors": "none",
        "bad_index/config.json": '{"model_type": "bert"}',
        "bad_index/model.safetensors.index.json": '{"weight_map": 3}',
    }
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    save(checkpoint(tokenizer_in(str(root / "tokenizer"))), root / "model")
    (root / "latin.txt").write_bytes("déjà vu".encode("latin-1"))
    (root / "loop").symlink_to(root / "loop")
    named = {name.partition("/")[0].partition(".")[0]: root / name.partition("/")[0] for name in contents}
    named |= {"tsv": root / "task.tsv", **{name: root / name for name in ("latin.txt", "loop", "model")}}
    named["latin"] = named.pop("latin.txt")
    return {name: str(path) for name, path in (named | {"root": root}).items()}


@pytest.fixture(scope="module")
def answers(files: dict[str, str]) -> dict[str, tuple[int, str, str]]:
    """Exit status, standard output and standard error of every command."""
    commands = [
        command.format(**files, new=f"{files['root']}/new/{number}").split()
        for number, (command, _) in enumerate((COMMANDS | GOOD).values())
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.experiments.forked"],
        cwd=REPOSITORY, input=json.dumps(commands), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(zip(COMMANDS | GOOD, json.loads(done.stdout), strict=True))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", COMMANDS)
def test_one_sentence(name: str, answers: dict[str, tuple[int, str, str]]) -> None:
    status, written, said = answers[name]
    assert status == 2, said
    assert "Traceback" not in said + written
    lines = said.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith("error: "), said
    assert COMMANDS[name][1] in said


@pytest.mark.parametrize("name", GOOD)
def test_what_is_no_mistake_is_done(name: str, answers: dict[str, tuple[int, str, str]]) -> None:
    status, written, said = answers[name]
    assert status == 0, said
    assert GOOD[name][1] in written


def test_nothing_is_removed_or_begun(files: dict[str, str], answers: dict[str, tuple[int, str, str]]) -> None:
    root = Path(files["root"])
    assert (root / "run" / "metrics.jsonl").read_text() == "{}\n" and (root / "run" / "checkpoints" / "5").is_dir()
    assert (root / "store" / "tokenizer" / "vocab.txt").read_text() == "a\n"
    assert (root / "file").read_text() == "no folder\n"
    assert set(tree(root / "run")) == {"checkpoints/5/manifest.json", "metrics.jsonl"}
