"""SpanBERT (Joshi et al. 2020): spans of words masked, and predicted from their boundaries too.

    python -m experiments.pretrain --config=experiments/configs/spanbert.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini | 3 M words of English, see docs/results | 2 CPU cores, shared; 5 minutes | 5.911 (boundary 6.227) |
| base, large | 2.4M steps of 256 x 512 | TPU v3-128; not measured | not measured |
| large_1seq | Table 7 without the boundary objective, 1.2M steps | as large | not measured |
| large_phrases | Table 6's named entities or noun phrases, 1.2M steps | as large | not measured |
| large_2seq | Table 7 with pairs and next sentence, 1.2M steps | as large | not measured |

The paper's model is `large`, on BERT's cased vocabulary. AdamW with rate 1e-4, 10,000 steps of warm-up, linear decay,
epsilon 1e-8, decay 0.1 (paper; the released command has 0.01) of every parameter (code: pretraining/fairseq/
optim/adam.py:86-136 has one group). Table 6's maskings are `objective.masking.strategy`: tokens, whole_words, spans,
phrases. For the last the store is prepared from .jsonl files with a tagger's phrases in a field, [[start, end], ...] in
characters of the text, and `--phrases_field`. Random tokens are drawn uniformly, as BERT's; the released code draws
them by their counts in the text (--config.objective.masking.random_tokens=unigram); the paper does not say.
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.data.windows import DocSentences
from plmjax.modules.bert import VARIANTS
from plmjax.objectives.bert import BertPretraining
from plmjax.objectives.masked_lm import MaskedLM, Masking
from plmjax.objectives.spanbert import SpanBertPretraining
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(
    name="adamw", schedule="linear", learning_rate=1e-4, warmup_steps=10_000, weight_decay=0.1, clip_norm=1.0
)
SPANS = Masking(strategy="spans")


def paper(variant: str, objective: object, steps: int = 2_400_000) -> Config:
    return Config(
        name=f"spanbert_{variant}",
        model=replace(VARIANTS[variant.split("_")[0]], dtype="bfloat16"),
        objective=objective,
        train=TrainConfig(steps=steps, batch_size=256, length=512, log_every=100, eval_every=10_000),
        optimizer=replace(ADAM, exclude_from_weight_decay="nothing"),
    )


def tiny() -> Config:
    return Config(
        name="spanbert_tiny",
        model=replace(VARIANTS["tiny"]),
        objective=SpanBertPretraining(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=1e-3, warmup_steps=50),
    )


def mini() -> Config:
    return Config(
        name="spanbert_mini",
        model=replace(
            VARIANTS["base"],
            num_layers=2,
            num_heads=2,
            d_model=128,
            d_ff=512,
            max_positions=128,
            dropout=0.0,
            attention_dropout=0.0,
            init_std=0.05,
        ),
        objective=SpanBertPretraining(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_500, batch_size=32, length=64, log_every=100, eval_every=250),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=200, b2=0.98, weight_decay=0.01),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants = {
        "tiny": tiny,
        "mini": mini,
        "base": lambda: paper("base", SpanBertPretraining()),
        "large": lambda: paper("large", SpanBertPretraining()),
        "large_1seq": lambda: paper("large_1seq", MaskedLM(DocSentences(), replace(SPANS)), 1_200_000),
        "large_phrases": lambda: paper(
            "large_phrases", MaskedLM(DocSentences(phrases=True), Masking(strategy="phrases")), 1_200_000
        ),
        "large_2seq": lambda: paper("large_2seq", BertPretraining(masking=replace(SPANS)), 1_200_000),
    }
    return pick(variants, variant)
