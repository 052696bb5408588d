"""The script from a checkpoint and tiny files to results, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.configs import evaluate as configs
from plmjax.checkpoints.serialize import from_json, to_json
from plmjax.data.tokenizers.load import train_sentencepiece
from plmjax.errors import UserError
from plmjax.interop.native import save
from plmjax.interop.pretrained import Pretrained
from plmjax.modules.gpt import GPTConfig
from plmjax.tasks.choices import ChoiceScoring
from tests.interop.reference import corpus
from tests.interop.test_files import fresh

REPOSITORY = Path(__file__).parents[2]
GPT = GPTConfig(vocab_size=385, max_positions=48, num_layers=2, num_heads=2, d_model=12, d_ff=14, unroll=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    tokenizer = train_sentencepiece(corpus(), tmp_path_factory.mktemp("sp"), vocab_size=380, sentinels=5)
    save(Pretrained(GPT, fresh(GPT, "GPT2LMHeadModel").params, "GPT2LMHeadModel", tokenizer), directory)
    return directory


def evaluate(variant: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = f"--config=experiments/configs/evaluate.py:{variant}"
    command = [sys.executable, "-m", "experiments.evaluate", config, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_from_files_to_results(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("".join(f"the cat is {n}\t{n % 2}\n" for n in range(4)))
    (tmp_path / "train.tsv").write_text("".join(f"the dog was {n}\t{n % 2}\n" for n in range(6)))
    arguments = [
        f"--from={checkpoint}",
        f"--workdir={tmp_path / 'out'}",
        f"--config.task.test={tmp_path / 'test.tsv'}",
        f"--config.task.train={tmp_path / 'train.tsv'}",
        "--config.task.shots=(0,1)",
    ]
    done = evaluate("sst2_files", *arguments)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    measures = {(measure["part"], measure["name"]): measure for measure in results["measures"]}
    assert len(measures) == 6
    assert all(measure["chance"] == 0.5 and measure["count"] == 4 for measure in measures.values())
    assert results["from"] == str(checkpoint) and results["step"] == 0 and results["versions"]
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["place"] for line in lines[:2]] == [f"{tmp_path / 'test.tsv'}:{n}" for n in (1, 2)]
    assert len(lines) == 8
    table = (tmp_path / "out" / "results.txt").read_text()
    assert table in done.stdout and "1 examples  accuracy, corrected" in table and "50.0%" in table
    # The same settings may be evaluated again, others may not take the folder.
    other = evaluate("sst2_files", *arguments[:-1], "--config.task.shots=(1,)")
    assert other.returncode == 2 and "holds the results of another evaluation" in other.stderr
    assert len(other.stderr.splitlines()) == 1


def test_mistakes_are_told_in_a_line_before_anything_is_loaded(tmp_path: Path) -> None:
    done = evaluate("wikitext2", f"--from={tmp_path / 'none'}", "--config.task.text=none.txt")
    assert done.returncode == 2 and "config.task.text is 'none.txt', which is no file" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_variant_is_whole_and_has_its_row() -> None:
    names = set()
    for variant in configs.VARIANTS:
        config = configs.get_config(variant)
        assert config.name == variant and from_json(to_json(config)) == config
        assert f"| {variant} |" in configs.__doc__
        config.task.limit = 7
        assert configs.get_config(variant).task.limit == 0  # no two share their settings
        names.add(config.task.NAME)
    assert names == {"perplexity", "lambada", "blimp", "choices", "answers"}
    assert isinstance(configs.get_config("sst2").task, ChoiceScoring)
    with pytest.raises(UserError, match="no variant 'x': choose one of wikitext2, lambada"):
        configs.get_config("x")
