"""ELECTRA's discriminator (Clark et al. 2020, App. B): lower layers learn more slowly.

    python -m experiments.finetune --from=DIR --task=sst2 --config=experiments/configs/finetune/electra.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| small | rate 3e-4, each layer 0.8 of the layer above; 3 epochs of 32 rows | not measured | not measured |
| base | rate 1e-4, 0.8 | not measured | not measured |
| large | rate 5e-5, 0.9 | not measured | not measured |
| base_squad | windows of 384 tokens, 2 epochs | not measured | not measured |

Layers learn as in the released code (`LayerDecay.scales="learning_rates"`: the top layer at rate^2, the embeddings at
rate^(N + 2)); the paper gives no exponents. On RTE and STS-B the paper trains for 10 epochs: --config.train.epochs=10.
"""

from dataclasses import replace

from experiments.configs.common import pick
from experiments.configs.finetune.common import BERT_ADAM, in_windows
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.finetune.update_strategies import LayerDecay


def sized(size: str, learning_rate: float, decay: float) -> FineTune:
    return FineTune(
        name=f"electra_{size}",
        train=FineTuneTrainConfig(epochs=3.0, batch_size=32, warmup_ratio=0.1),
        optimizer=replace(BERT_ADAM, learning_rate=learning_rate, weight_decay=0.0),
        update_strategy=LayerDecay(decay),
    )


def get_config(variant: str = "small") -> FineTune:
    """The recipe of a variant in the table above."""
    variants = {
        "small": lambda: sized("small", 3e-4, 0.8),
        "base": lambda: sized("base", 1e-4, 0.8),
        "large": lambda: sized("large", 5e-5, 0.9),
        "base_squad": lambda: in_windows(sized("base", 1e-4, 0.8), 1e-4, 2.0, 32),
    }
    return pick(variants, variant)
