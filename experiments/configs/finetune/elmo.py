"""ELMo's vectors as features (Peters et al. 2018, Sec. 3.2 and 3.3): the biLM stays, a small network above it learns.

    python -m experiments.finetune --from=DIR --task=sst2 --config=experiments/configs/finetune/elmo.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| base | Adam at 0.001, up to 20 epochs of 32 rows, dropout 0.5, l2 0.001 of the mixture | not measured | not measured |
| tags | base with 200 cells, the tags of a sentence chained by a CRF (Sec. 4) | not measured | not measured |
| average | the mixture is held near the average of the layers: l2 1 (Table 2) | not measured | not measured |

The paper puts the vectors into the best network of each task; here it is an LSTM each way under a linear map, to which
the paper's network for named entities adds characters and word vectors of its own and a second LSTM.
"""

from dataclasses import replace

from experiments.configs.common import pick
from plmjax.finetune.config import FeaturesConfig, FineTune, FineTuneTrainConfig
from plmjax.finetune.update_strategies import HeadsOnly
from plmjax.train.config import OptimizerConfig


def base() -> FineTune:
    return FineTune(
        name="elmo",
        train=FineTuneTrainConfig(epochs=20.0, batch_size=32, warmup_ratio=0.0, patience=3),
        optimizer=OptimizerConfig(learning_rate=1e-3, schedule="constant", clip_norm=5.0),
        update_strategy=HeadsOnly(),
        features=FeaturesConfig(cells=256, l2=1e-3),
        dropout=0.5,
    )


def average() -> FineTune:
    return replace(base(), name="elmo_average", features=FeaturesConfig(cells=256, l2=1.0))


def tags() -> FineTune:
    features = FeaturesConfig(cells=200, l2=1e-3)
    return replace(base(), name="elmo_tags", task_model="crf_token_classification", features=features)


def get_config(variant: str = "base") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"base": base, "tags": tags, "average": average}, variant)
