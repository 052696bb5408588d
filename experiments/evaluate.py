"""Evaluates a checkpoint as it is: perplexity, LAMBADA, BLiMP, multiple choice and free answers.

    python -m experiments.evaluate --from=runs/gpt2_mini_512 --config=experiments/configs/evaluate.py:blimp \
        --config.task.pairs=BLiMP.zip
    python -m experiments.evaluate --from=GPT2_DIR --config=experiments/configs/evaluate.py:wikitext2 \
        --config.task.text=wikitext2/test.txt --length=1024
    python -m experiments.evaluate --from=runs/electra_mini --part=generator \
        --config=experiments/configs/evaluate.py:blimp --config.task.pairs=BLiMP.zip --config.task.limit=100

--from takes a working folder of experiments.pretrain, one of its checkpoints, or a Hugging Face directory. Any network
that predicts tokens can be evaluated: plmjax/tasks/framing.py says how each kind is asked. Prints a table with chance
beside each number, and writes results.json, results.txt and predictions.jsonl (a line an example) into the working
folder.
"""

import json
from pathlib import Path
from typing import Any

import jax
from absl import flags

from experiments import _main
from experiments._config_text import config_as_text
from experiments.configs.evaluate import Evaluation
from plmjax.checkpoints.checkpointer import find
from plmjax.checkpoints.provenance import git_revision, versions
from plmjax.checkpoints.serialize import to_json
from plmjax.errors import UserError
from plmjax.interop import load
from plmjax.interop.hub import local_path
from plmjax.interop.huggingface import CONFIG as HUGGINGFACE
from plmjax.modules import Bound
from plmjax.tasks.report import RESULTS, as_table, write
from plmjax.tasks.scoring import Scorer
from plmjax.tasks.scoring_format import find_scoring_format
from plmjax.working_folder import EVALUATION, working_folder

DEFAULT = Path(__file__).parent / "configs" / "evaluate.py"

CONFIG = _main.define_config(
    f"{DEFAULT}:blimp",
    "FILE.py or FILE.py:VARIANT; --config.task.limit=100 and so on set its fields.",
    kinds=(Evaluation,),
)
FROM = flags.DEFINE_string("from", None, "Checkpoint, Hugging Face directory, or a model's name on the hub.")
PART = flags.DEFINE_string("part", None, "Of a checkpoint with several networks, the one to evaluate: generator.")
WORKDIR = flags.DEFINE_string(
    "workdir", "", "Where results go; by default runs/FROM_NAME, NAME being the evaluation's."
)
LENGTH = flags.DEFINE_integer(
    "length",
    None,
    "The most tokens read at once. Default: all positions of the network, or 512 where they have no end.",
)
CODE = flags.DEFINE_string("code", "", "The texts' control code, for a network trained with codes (CTRL).")
LANGUAGE = flags.DEFINE_string("language", "", "The texts' language, its name or row, for a network that has a table.")
BATCH_TOKENS = flags.DEFINE_integer(
    "batch_tokens", 8192, "Tokens of a batch, padding included: more on a large device.", lower_bound=1
)
PRINT_CONFIG = flags.DEFINE_bool("print_config", False, "Print every field with its comment, and end.")


def main() -> None:
    config = CONFIG.value
    if PRINT_CONFIG.value:
        print(config_as_text(config))
        return
    if not FROM.value:
        raise UserError("--from names no checkpoint: give a working folder or a Hugging Face directory.")
    source = local_path(FROM.value)
    workdir = _main.run_folder(WORKDIR.value, f"{Path(FROM.value).absolute().name}_{config.name}")
    asked = {"from": str(source), "part": PART.value, "length": LENGTH.value} | {
        "code": CODE.value, "language": LANGUAGE.value, "evaluation": to_json(config)
    }  # fmt: skip
    with working_folder(workdir, EVALUATION):
        check_folder(workdir, asked)
        config.task.check()
        scorer, checkpoint = open_scorer(source)
        report = config.task.evaluate(scorer)
        print(as_table(report))
        write(report, workdir, asked | checkpoint | {"revision": git_revision(), "versions": versions()})
    print(f"results: {workdir / RESULTS}\npredictions: {workdir / 'predictions.jsonl'}")


def open_scorer(source: Path) -> tuple[Scorer, dict[str, Any]]:
    """The network of a checkpoint, ready to score, and what tells the checkpoint from others in its place.

    Raises:
        UserError: there is none, it has no tokenizer, or its network does not score texts.
    """
    pretrained = load(source, PART.value)
    if pretrained.tokenizer is None:
        raise UserError(f"The checkpoint {source} has no tokenizer: put its files beside it.")
    checkpoint: dict[str, Any] = {"step": None}
    trained: dict[str, Any] = {}
    if not (source / HUGGINGFACE).is_file() or (source / "checkpoints").exists():
        found = find(source)
        checkpoint["step"], trained = found.step, found.manifest["config"].get("objective") or {}
    network = Bound(pretrained.module, jax.device_put(pretrained.params))
    scoring_format = find_scoring_format(
        pretrained.config,
        network.kind,
        pretrained.tokenizer,
        pretrained.special,
        trained,
        shown=pretrained.family.scoring_format,
        is_prefix_lm=network.is_prefix_lm,
        code=CODE.value,
        language=LANGUAGE.value,
    )
    scorer = Scorer(
        network, pretrained.tokenizer, scoring_format, length=LENGTH.value, batch_tokens=BATCH_TOKENS.value, shown=True
    )
    return scorer, checkpoint


def check_folder(workdir: Path, asked: dict[str, Any]) -> None:
    """UserError where a folder holds the results of something else; the same evaluation is made anew."""
    file = workdir / RESULTS
    if file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
        if {name: before.get(name) for name in asked} != json.loads(json.dumps(asked)):
            raise UserError(f"{workdir} holds the results of another evaluation: give another --workdir.")


if __name__ == "__main__":
    _main.run(main)
