"""Evaluations without training, for `experiments.evaluate`.

    python -m experiments.evaluate --from=runs/gpt2_mini_512 --config=experiments/configs/evaluate.py:VARIANT
    python -m experiments.evaluate --from=DIR --config=experiments/configs/evaluate.py:blimp --config.task.limit=100

| variant | what it is | hardware, time | result |
|---|---|---|---|
| wikitext2 | perplexity of WikiText-2, --config.task.text=wikitext2/test.txt | not measured | not measured |
| lambada | LAMBADA, GPT-2's own form: --config.task.passages=lambada_test.jsonl | not measured | not measured |
| lambada_tfds | the same from TFDS, in lower case | not measured | not measured |
| blimp | BLiMP: --config.task.pairs=BLiMP.zip | not measured | not measured |
| sst2 | SST-2, K = 0, 1, 8, from TFDS: GLUE's validation set | not measured | not measured |
| sst2_files | the same from TSV files, --config.task.test and --config.task.train | not measured | not measured |
| hellaswag | HellaSwag from TFDS, the ending of a text out of four | not measured | not measured |
| squad | SQuAD 1.1's form, free answers: --config.task.test=dev-v1.1.json | not measured | not measured |
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
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


SENTIMENT = Choices(
    test="tfds:glue/sst2:validation",
    train="tfds:glue/sst2:train",
    prompt="Review: {sentence}\nSentiment:",
    choices=("negative", "positive"),
    answer="label",
    neutral="Sentiment:",
    shots=(0, 1, 8),
)


def endings() -> Choices:
    return Choices(
        test="tfds:hellaswag:validation",
        prompt="{context}",
        choice_fields=("endings",),
        answer="label",
    )


VARIANTS: dict[str, Callable[[], Any]] = {
    "wikitext2": lambda: Perplexity(detokenize="wikitext"),
    "lambada": Lambada,
    "lambada_tfds": lambda: Lambada(passages="tfds:lambada:test", field="passage"),
    "blimp": Blimp,
    "sst2": lambda: replace(SENTIMENT),
    "sst2_files": lambda: replace(SENTIMENT, test="", train="", columns=("sentence", "label")),
    "hellaswag": endings,
    "squad": Answers,
}


def get_config(variant: str = "blimp") -> Evaluation:
    """The evaluation of a variant in the table above."""
    if variant not in VARIANTS:
        raise UserError(f"The config has no variant {variant!r}: choose one of {', '.join(VARIANTS)}.")
    return Evaluation(variant, VARIANTS[variant]())
