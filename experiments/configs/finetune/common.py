"""What the recipes have in common."""

from dataclasses import replace

from plmjax.finetune.config import FineTune
from plmjax.train.config import OptimizerConfig

# BERT's released code, which ELECTRA's follows: AdamW without bias correction.
BERT_ADAM = OptimizerConfig(eps=1e-6, weight_decay=0.01, bias_correction=False, clip_norm=1.0)


def in_windows(recipe: FineTune, learning_rate: float, epochs: float, batch_size: int) -> FineTune:
    """The recipe for answers in contexts: windows of 384 tokens, 128 apart (Devlin et al. 2018, released code)."""
    return replace(
        recipe,
        name=f"{recipe.name}_squad",
        max_length=384,
        doc_stride=128,
        train=replace(recipe.train, epochs=epochs, batch_size=batch_size, patience=0),
        optimizer=replace(recipe.optimizer, learning_rate=learning_rate),
    )
