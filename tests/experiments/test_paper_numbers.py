"""The table of docs/reference/to_the_letter.md has the numbers of the configurations, and covers each paper's."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "to_the_letter.md"
ROW = re.compile(r"^\| `(\w+:[\w.]+)` \| `([^`]+)` \| (.+) \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text().partition("## Numbers of the paper-sized configs")[2].partition("\n## ")[0])


@pytest.mark.parametrize("row", ROWS, ids=[f"{config}-{number}" for number, (config, *_) in enumerate(ROWS)])
def test_the_page_has_the_config_s_numbers(row: tuple[str, ...]) -> None:
    family, _, variant = row[0].partition(":")
    config = importlib.import_module(f"experiments.configs.{family}").get_config(variant)
    for pair in row[1].split():
        path, _, value = pair.partition("=")
        found: Any = config
        for part in path.split("."):
            found = getattr(found, part)
        assert found == ast.literal_eval(value), path


def test_every_paper_has_rows() -> None:
    families = {config.partition(":")[0] for config, *_ in ROWS}
    assert families >= {
        *(
            "albert",
            "bart",
            "bert",
            "ctrl",
            "deberta",
            "deberta_v3",
            "distilbert",
            "electra",
            "elmo",
            "gpt",
            "gpt2",
            "gpt3",
        ),
        *("lamda", "marian", "mass", "mbart", "meena", "modernbert", "roberta", "spanbert", "t5", "t5_1_1", "ul2"),
        *("transformer_xl", "xlm", "xlnet"),
    }


@pytest.mark.parametrize(
    ("config", "path", "value"),
    [
        ("transformer_xl:enwik8_24l", "train.steps", 400_000),  # tf/scripts/enwik8_large_tpu.sh
        ("xlnet:large", "train.batch_size", 8_192),  # Yang et al. 2019, App. A.4.1
        ("xlm:mlm_en_2048", "optimizer.schedule", "inverse_sqrt"),  # facebookresearch/XLM, issue 112
        ("xlm:mlm_17_1280", "optimizer.schedule", "inverse_sqrt"),
        ("xlm:mlm_100_1280", "optimizer.schedule", "inverse_sqrt"),
        ("xlm:xnli15_mlm", "objective.window.alpha", 0.7),  # facebookresearch/XLM, issue 119
        ("mass:nmt", "optimizer.schedule", "inverse_sqrt"),  # MASS-unsupNMT/src/utils.py:138-164
        ("mass:base", "optimizer.learning_rate", 5e-4),  # MASS-summarization/README.md
        ("marian:base", "optimizer.schedule", "inverse_sqrt"),  # marian-examples, transformer/run-me.sh
        ("marian:base", "optimizer.clip_norm", 5.0),
        ("albert:base", "optimizer.bias_correction", False),  # google-research/albert, lamb_optimizer.py:89-95
        ("roberta:large", "optimizer.exclude_from_weight_decay", "nothing"),  # fairseq, trainer.py:304-310
        ("mbart:cc25", "optimizer.exclude_from_weight_decay", "nothing"),
        ("bert:large_512", "train.carry_optimizer", True),  # google-research/bert, README.md:976-985
    ],
)
def test_what_the_audit_mended(config: str, path: str, value: Any) -> None:
    family, _, variant = config.partition(":")
    found: Any = importlib.import_module(f"experiments.configs.{family}").get_config(variant)
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value
