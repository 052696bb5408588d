"""DeBERTa v3 (He et al. 2023): replaced-token detection, the discriminator's embeddings disentangled from the other's.

    python -m experiments.pretrain --config=experiments/configs/deberta_v3.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| mini | 3 M words of English, see docs/results | a seventh of a CPU core; 41 minutes | 5.141 (detection 0.394) |
| mini_tied, mini_none | the paper's other ways to share embeddings (ES, NES) | as mini | not measured |
| xsmall, small, base, large | 500,000 steps of 8,192 x 512, 160 GB of text | not measured | not measured |

The generator has half the layers, and with it (code: rtd_task.py) one token of each window of six is chosen, cut from
the left at 15%, and all that are chosen become the mask; detection reads the released head; `sharing=tables` (ES)
shares the tables of tokens and positions alone. One step trains both networks: detection's gradient stops at the
generator's tables and reaches only the difference that the discriminator adds, masked LM's reaches the generator alone,
so that the sum gives each the gradient of the released code's two backward passes; there the discriminator reads the
same samples, of the generator before its update, through tables that are one update ahead. Lambda is the paper's 50;
the code has 10 (`objective.weight`). The recipe's rates are from the paper's appendix, from memory.
"""

from dataclasses import replace
from typing import Any

from experiments.configs.common import ENGLISH, pick
from experiments.configs.deberta import ADAM, SMALL
from plmjax.modules.deberta import VARIANTS, DebertaConfig
from plmjax.modules.generator_discriminator import GeneratorDiscriminatorConfig
from plmjax.objectives.masking_strategies import MaskingStrategies, NGramWindowMasking
from plmjax.objectives.replaced_tokens import GeneratorMasking, ReplacedTokens
from plmjax.train.config import Config, TrainConfig


def pair(discriminator: DebertaConfig, sharing: str = "disentangled") -> GeneratorDiscriminatorConfig:
    """With a generator of half the layers, which reads masked tokens through an enhanced mask decoder."""
    layers = max(1, discriminator.num_layers // 2)
    return GeneratorDiscriminatorConfig(
        discriminator, replace(discriminator, num_layers=layers, enhanced_mask_decoder=True), sharing
    )


def objective() -> ReplacedTokens:
    """Detection of samples at positions that are all masked for the generator, as released."""
    strategies = MaskingStrategies(ngram_windows=NGramWindowMasking(longest=1))
    return ReplacedTokens(masking=GeneratorMasking(mask_share=1.0, strategy="ngram_windows", strategies=strategies))


def paper(size: str, learning_rate: float) -> Config:
    return Config(
        name=f"deberta_v3_{size}",
        model=pair(replace(VARIANTS[f"v3_{size}"], dtype="bfloat16")),
        objective=objective(),
        train=TrainConfig(steps=500_000, batch_size=8_192, length=512, log_every=100, eval_every=10_000),
        optimizer=replace(ADAM, learning_rate=learning_rate),
    )


def mini(name: str = "deberta_v3_mini", sharing: str = "disentangled") -> Config:
    small: dict[str, Any] = SMALL | {"buckets": 32}
    return Config(
        name=name,
        model=pair(replace(VARIANTS["v3_base"], **small), sharing),
        objective=objective(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_200, batch_size=16, length=64, log_every=100, eval_every=300),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=100, b2=0.98),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants = {
        "mini": mini,
        "mini_tied": lambda: mini("deberta_v3_mini_tied", "tables"),
        "mini_none": lambda: mini("deberta_v3_mini_none", "none"),
        "xsmall": lambda: paper("xsmall", 6e-4),
        "small": lambda: paper("small", 6e-4),
        "base": lambda: paper("base", 6e-4),
        "large": lambda: paper("large", 3e-4),
    }
    return pick(variants, variant)
