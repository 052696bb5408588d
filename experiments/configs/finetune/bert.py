"""BERT (Devlin et al. 2018, App. A.3 and the released code); for ALBERT, SpanBERT and DistilBERT too.

    python -m experiments.finetune --from=DIR --task=sst2 --config=experiments/configs/finetune/bert.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| base | 3 epochs of 32 rows, warm-up over a tenth of the steps, then linear | not measured | not measured |
| corrected | base with AdamW's bias correction, which BERT's code left out | 1 CPU thread, 9 minutes | see below |
| squad | windows of 384 tokens | not measured | not measured |

Of `corrected`, MiniLM's encoder on SST-2's 6,920 sentences, 2 epochs at 5e-5: 88.2% of the test set, median of 3 seeds.
The paper chooses rate, batch size and epochs for each task on the validation set: --sweep runs its grid.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from experiments.cells.sweep import grid
from experiments.configs.common import pick
from experiments.configs.finetune.common import BERT_ADAM, in_windows
from plmjax.finetune.config import FineTune, FineTuneTrainConfig


def base() -> FineTune:
    return FineTune(
        name="bert",
        train=FineTuneTrainConfig(epochs=3.0, batch_size=32, warmup_ratio=0.1),
        optimizer=replace(BERT_ADAM, learning_rate=3e-5),
    )


def corrected() -> FineTune:
    recipe = base()
    return replace(recipe, name="bert_corrected", optimizer=replace(recipe.optimizer, bias_correction=True))


def get_config(variant: str = "base") -> FineTune:
    """The recipe of a variant in the table above."""
    variants = {"base": base, "corrected": corrected, "squad": lambda: in_windows(base(), 5e-5, 3.0, 32)}
    return pick(variants, variant)


def sweep(variant: str = "base") -> Iterator[dict[str, Any]]:
    """The paper's grid."""
    return grid(optimizer__learning_rate=(2e-5, 3e-5, 5e-5), train__batch_size=(16, 32), train__epochs=(2.0, 3.0, 4.0))
