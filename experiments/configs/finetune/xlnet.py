"""XLNet (Yang et al. 2019, App. A.4 and the released code).

    python -m experiments.finetune --from=DIR --task=mnli --config=experiments/configs/finetune/xlnet.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| base | 3 epochs of 32 rows, warm-up over a tenth of the steps, then linear | not measured | not measured |
| squad | windows of 384 tokens; each layer has 0.75 of the rate of the one above | not measured | not measured |
| squad2 | as released: answers by a beam, windows of 512 tokens, 8,000 steps of 48 rows | not measured | not measured |
"""

from dataclasses import replace

from experiments.configs.common import pick
from experiments.configs.finetune.common import BERT_ADAM, in_windows
from plmjax.finetune.config import FineTune, TrainConfig
from plmjax.finetune.updates import LayerDecay


def base() -> FineTune:
    return FineTune(
        name="xlnet",
        train=TrainConfig(epochs=3.0, batch_size=32, warmup_share=0.1),
        optimizer=replace(BERT_ADAM, learning_rate=2e-5, weight_decay=0.0),
    )


def squad() -> FineTune:
    return replace(in_windows(base(), 3e-5, 2.0, 48), updates=LayerDecay(0.75))


def squad2() -> FineTune:
    recipe = replace(squad(), name="xlnet_squad2", way="spans_by_beam", length=512, most_answer=64)
    return replace(recipe, train=replace(recipe.train, steps=8_000, warmup_share=0.125))


def get_config(variant: str = "base") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"base": base, "squad": squad, "squad2": squad2}, variant)
