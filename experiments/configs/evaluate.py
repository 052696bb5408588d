"""Evaluations without training, for `experiments.evaluate`.

    python -m experiments.evaluate --from=runs/gpt2_mini_512 --config=experiments/configs/evaluate.py:VARIANT
    python -m experiments.evaluate --from=DIR --config=experiments/configs/evaluate.py:blimp --config.task.limit=100

| variant | what it is | time | result |
|---|---|---|---|
| wikitext2 | perplexity of WikiText-2, its marks undone | 81 s | 3.027 bits a byte (3.864), 55,867 a word (1.1 M) |
| lambada | LAMBADA in the form that GPT-2's authors gave it | 46 s | accuracy 0.0% (1.6%), 15.31 nats a word (21.36) |
| lambada_tfds | the same in its first form, lower case, from TFDS | not measured | not measured |
| blimp | BLiMP, all paradigms | 122 s | accuracy 53.8% (50%) |
| sst2 | SST-2's validation set, K = 0, 1, 8, from TFDS | not measured | not measured |
| sst2_files | SST-2 from TSV files, K = 0, 1, 8 | 151 s | 49.9% each, corrected 46.0%, 48.4%, 48.7% (50%) |
| hellaswag | HellaSwag from TFDS, the ending of a text out of four | not measured | not measured |
| squad | free answers to questions in SQuAD's form | not measured | not measured |

Measured with runs/gpt2_mini_512 (gpt2.py:mini_512 after its 3,500 steps: 1.4 M parameters, 7.2 M tokens of English),
chance in brackets; seconds are those of the CPU, on 2 cores beside much other work. The files are named by

    wikitext2   --config.task.text=wikitext2/test.txt
    lambada     --config.task.passages=lambada_test.jsonl
    blimp       --config.task.pairs=BLiMP.zip
    sst2_files  --config.task.test=test.tsv --config.task.train=train.tsv, a sentence and a label in each line
    squad       --config.task.test=dev-v1.1.json
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from plmjax.errors import UserError
from plmjax.tasks.answers import Answers
from plmjax.tasks.blimp import Blimp
from plmjax.tasks.choices import ChoiceScoring
from plmjax.tasks.lambada import Lambada
from plmjax.tasks.perplexity import Perplexity


@dataclass(slots=True)
class Evaluation:
    """An evaluation and the name of its results' folder."""

    name: str
    task: Any


SENTIMENT = ChoiceScoring(
    test="tfds:glue/sst2:validation",
    train="tfds:glue/sst2:train",
    prompt="Review: {sentence}\nSentiment:",
    choices=("negative", "positive"),
    answer="label",
    neutral="Sentiment:",
    shots=(0, 1, 8),
)


def endings() -> ChoiceScoring:
    return ChoiceScoring(
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
