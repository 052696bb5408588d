"""XLNet (Yang et al. 2019, App. A.4 and the released code).

    python -m experiments.finetune --from=DIR --task=mnli --config=experiments/configs/finetune/xlnet.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| base | 3 epochs of 32 rows, warm-up over a tenth of the steps, then linear | not measured | not measured |
| squad | windows of 384 tokens; each layer has 0.75 of the rate of the one above | not measured | not measured |
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


def get_config(variant: str = "base") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"base": base, "squad": squad}, variant)
