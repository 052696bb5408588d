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
from experiments.summary import config_as_text
from plmjax.errors import UserError
from plmjax.interop import load
from plmjax.modules import Bound
from plmjax.tasks.report import as_table, write
from plmjax.tasks.scoring import Scorer
from plmjax.train.serialize import to_json

DEFAULT = Path(__file__).parent / "configs" / "evaluate.py"

CONFIG = _main.define_config(
    f"{DEFAULT}:blimp", "FILE.py or FILE.py:VARIANT; --config.task.limit=100 and so on set its fields."
)
FROM = flags.DEFINE_string("from", None, "Checkpoint or Hugging Face directory.", required=True)
PART = flags.DEFINE_string("part", None, "Of a checkpoint with several networks, the one to evaluate: generator.")
WORKDIR = flags.DEFINE_string(
    "workdir", "", "Where results go; by default runs/FROM_NAME, NAME being the evaluation's."
)
LENGTH = flags.DEFINE_integer(
    "length",
    None,
    "The most tokens read at once. Default: all positions of the network, or 512 where they have no end.",
)
BATCH_TOKENS = flags.DEFINE_integer(
    "batch_tokens", 8192, "Tokens of a batch, padding included: more on a large device.", lower_bound=1
)
PRINT_CONFIG = flags.DEFINE_bool("print_config", False, "Print the configuration as JSON, and end.")


def main() -> None:
    config = CONFIG.value
    if PRINT_CONFIG.value:
        print(config_as_text(config))
        return
    source = Path(FROM.value).expanduser()
    workdir = Path(WORKDIR.value or f"runs/{source.absolute().name}_{config.name}")
    about = {"from": str(source), "part": PART.value, "length": LENGTH.value, "evaluation": to_json(config)}
    check_folder(workdir, about)
    pretrained = load(source, PART.value)
    if pretrained.tokenizer is None:
        raise UserError(f"The checkpoint {source} has no tokenizer: put its files beside it.")
    scorer = Scorer(
        Bound(pretrained.module, jax.device_put(pretrained.params)),
        pretrained.tokenizer,
        start=pretrained.special.get("decoder_start_token_id"),
        length=LENGTH.value,
        batch_tokens=BATCH_TOKENS.value,
        shown=True,
    )
    report = config.task.evaluate(scorer)
    print(as_table(report))
    write(report, workdir, about)
    print(f"results: {workdir / 'results.json'}\npredictions: {workdir / 'predictions.jsonl'}")


def check_folder(workdir: Path, about: dict[str, Any]) -> None:
    """UserError where a folder holds the results of something else; the same evaluation is made anew."""
    file = workdir / "results.json"
    if file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
        if {name: before.get(name) for name in about} != json.loads(json.dumps(about)):
            raise UserError(f"{workdir} holds the results of another evaluation: give another --workdir.")


if __name__ == "__main__":
    _main.run(main)
