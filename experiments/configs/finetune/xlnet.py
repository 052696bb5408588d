"""XLNet (Yang et al. 2019), as the released scripts and the commands of its README have it.

    python -m experiments.finetune --from=DIR --task=stsb --config=experiments/configs/finetune/xlnet.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| stsb | rows of up to 128 tokens, 1,200 steps of 32 at 5e-5 | not measured | large: 91.6 Pearson, says its README |
| texts | IMDB: rows of 512, 4,000 steps of 32 at 2e-5 | not measured | large: 96.2% of IMDB, says its README |
| race | rows of 512, 12,000 steps of 32 at 2e-5 | not measured | large: 81.75%, says its README |
| squad | windows of 512, 128 apart; answers by a beam; 8,000 steps of 48 at 3e-5 | not measured | see below |
| squad_base | the same for the base network: 12,000 steps of 24 at 2e-5 | not measured | see below |
| ends | `squad` with the ends of an answer chosen apart | not measured | not measured |

Rates are warmed up, then fall linearly to 0; there is no weight decay, and without one the released code takes
TensorFlow's Adam, which corrects the moments' bias (zihangdai/xlnet, model_utils.py 130-133), with the epsilon of each
script (run_classifier.py 106, run_race.py 108, run_squad.py 140). In the recipes for answers each layer's
gradients are multiplied by 0.75 once for each layer above, as in the released code (`LayerDecay.scales="gradients"`);
the paper (Table 8) speaks of the learning rate: --config.update_strategy.scales=learning_rates. For SQuAD 2.0's
development set the README has F1 88.6 and exact match 86.12 (large), and exact match 80.18 (base).
"""

from dataclasses import replace

from experiments.configs.common import pick
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.finetune.update_strategies import LayerDecay
from plmjax.train.config import OptimizerConfig

ADAM = OptimizerConfig(weight_decay=0.0, bias_correction=True, clip_norm=1.0)


def recipe(
    name: str, length: int, learning_rate: float, steps: int, warmup: int, batch_size: int = 32, eps: float = 1e-6
) -> FineTune:
    return FineTune(
        name=f"xlnet_{name}",
        train=FineTuneTrainConfig(steps=steps, batch_size=batch_size, warmup_ratio=warmup / steps),
        optimizer=replace(ADAM, learning_rate=learning_rate, eps=eps),
        max_length=length,
        truncation=True,
    )


def ends(name: str = "ends", learning_rate: float = 3e-5, steps: int = 8_000, batch_size: int = 48) -> FineTune:
    found = recipe(name, 512, learning_rate, steps, 1_000, batch_size)
    decay = LayerDecay(0.75, scales="gradients")
    return replace(found, doc_stride=128, truncation=False, max_answer_length=64, update_strategy=decay)


def squad() -> FineTune:
    return replace(ends("squad"), task_model="beam_question_answering")


def squad_base() -> FineTune:
    return replace(ends("squad_base", 2e-5, 12_000, 24), task_model="beam_question_answering")


def get_config(variant: str = "stsb") -> FineTune:
    """The recipe of a variant in the table above."""
    variants = {
        "stsb": lambda: recipe("stsb", 128, 5e-5, 1_200, 120, eps=1e-8),
        "texts": lambda: recipe("texts", 512, 2e-5, 4_000, 500, eps=1e-8),
        "race": lambda: recipe("race", 512, 2e-5, 12_000, 1_000),
        "squad": squad,
        "squad_base": squad_base,
        "ends": ends,
    }
    return pick(variants, variant)
