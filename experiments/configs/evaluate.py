"""Evaluations without training, for `experiments.evaluate`.

    python -m experiments.evaluate --from=runs/gpt2_mini_512 --config=experiments/configs/evaluate.py:VARIANT
    python -m experiments.evaluate --from=DIR --config=experiments/configs/evaluate.py:lambada --config.task.limit=500

| variant | what it is | hardware, time | result |
|---|---|---|---|
| wikitext2 | perplexity of WikiText-2, --config.task.text=wikitext2/test.txt | not measured | not measured |
| lambada | LAMBADA's test set, from TFDS or a .jsonl file: --config.task.passages | not measured | not measured |
| blimp | BLiMP: --config.task.pairs=BLiMP.zip | not measured | not measured |
| sst2 | SST-2, K = 0, 1, 8, from TFDS: GLUE's validation set | not measured | not measured |
| sst2_files | the same from TSV files, --config.task.test and --config.task.train | not measured | not measured |
| swag | SWAG from TFDS, the ending of a text out of four | not measured | not measured |
| squad | SQuAD 1.1's form, free answers: --config.task.test=dev-v1.1.json | not measured | not measured |
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plmjax.errors import UserError
from plmjax.tasks.answers import Answers
from plmjax.tasks.blimp import Blimp
from plmjax.tasks.choices import Choices
from plmjax.tasks.lambada import Lambada
from plmjax.tasks.perplexity import Perplexity


@dataclass(slots=True)
class Evaluation:
    """An evaluation and the name of its results' folder."""

    name: str
    task: Any


def sentiment() -> Choices:
    return Choices(
        test="tfds:glue/sst2:validation",
        train="tfds:glue/sst2:train",
        prompt="Review: {sentence}\nSentiment:",
        choices=("negative", "positive"),
        answer="label",
        neutral="Sentiment:",
        shots=(0, 1, 8),
    )


def sentiment_files() -> Choices:
    task = sentiment()
    task.test = task.train = ""
    task.columns = ("sentence", "label")
    return task


def endings() -> Choices:
    return Choices(
        test="tfds:swag:validation",
        prompt="{sent1} {sent2}",
        choice_fields=("ending0", "ending1", "ending2", "ending3"),
        answer="label",
    )


VARIANTS: dict[str, Callable[[], Any]] = {
    "wikitext2": lambda: Perplexity(detokenize="wikitext"),
    "lambada": Lambada,
    "blimp": Blimp,
    "sst2": sentiment,
    "sst2_files": sentiment_files,
    "swag": endings,
    "squad": Answers,
}


def get_config(variant: str = "blimp") -> Evaluation:
    """The evaluation of a variant in the table above."""
    if variant not in VARIANTS:
        raise UserError(f"The config has no variant {variant!r}: choose one of {', '.join(VARIANTS)}.")
    return Evaluation(variant, VARIANTS[variant]())
