"""ModernBERT (Warner et al. 2024): masked LM alone, 30% of the tokens, on full sentences.

    python -m experiments.pretrain --config=experiments/configs/modernbert.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny    | the built-in corpus, to see it run | 2 CPU cores, shared; 3 minutes | 6.376 (unigram entropy 6.141) |
| mini    | 3 M words of English, see docs/results | 2 CPU cores, 6 minutes; not measured | not measured |
| base    | the first phase of the paper: 1.719 T tokens, 4,608 x 1,024 a step | 8 H100s; not measured | not measured |
| large   | as base, 0.9 T tokens, 4,928 x 1,024 a step | 8 H100s; not measured | not measured |
| large_2 | the 0.8 T tokens after it, `--init_from` the first | as large; not measured | not measured |

The first phase, at a constant rate, has the rotary base 10,000 in all layers; the paper then extends the context to
8,192 tokens, with 160,000 in the global layers (`--config.model.global_rope_theta=160000 --config.train.length=8192`
and a lower rate), and ends with a decay. The paper's optimizer is StableAdamW, which clips each tensor's update; here
it is AdamW with the gradient's norm clipped at 1. base follows the code (AnswerDotAI/ModernBERT, branch
pretraining_documentation, yamls/modernbert/modernbert-base-pretrain.yaml), whose batch grows from 96 texts over the
first 50 billion tokens (src/sequence_packer.py:20-61: text by text, here by 96); no file of the large model was found:
its batch of 4,928 is from memory, its rates and tokens from the paper's text. ModernBERT's own tokenizer is a
byte-level BPE with BERT's special tokens.
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.modules.modernbert import VARIANTS
from plmjax.objectives.masked_lm import MaskedLM
from plmjax.train.config import Config, OptimizerConfig, TrainConfig
from plmjax.train.ramp import make_ramp

RAMP = 50_000_000_000  # tokens in which the batch grows
ADAM = OptimizerConfig(name="adamw", schedule="constant", b2=0.98, eps=1e-6, weight_decay=1e-5, clip_norm=1.0)


def objective() -> MaskedLM:
    made = MaskedLM()
    made.masking.rate = 0.3
    return made


def paper(name: str, tokens: float, batch_size: int, learning_rate: float, warmup: float, first: int = 0) -> Config:
    """Steps of `batch_size` texts of 1,024 tokens, at first of `first`; `tokens` and `warmup` count tokens."""
    length, size = 1024, name.split("_")[0]
    train = TrainConfig(
        batch_size=batch_size,
        length=length,
        ramp_batch_size=first,
        ramp_tokens=RAMP if first else 0,
        log_every=100,
        eval_every=5_000,
    )
    last = make_ramp(train).stages[-1]
    train.steps = last.first_step + round(tokens / length - last.first_example) // batch_size
    return Config(
        name=f"modernbert_{name}",
        model=replace(VARIANTS[size], dtype="bfloat16", global_rope_theta=10_000.0),
        objective=objective(),
        train=train,
        optimizer=replace(ADAM, learning_rate=learning_rate, warmup_steps=round(warmup / (batch_size * length))),
    )


def tiny() -> Config:
    return Config(
        name="modernbert_tiny",
        model=replace(VARIANTS["tiny"], attention_out_dropout=0.0),
        objective=objective(),
        data=builtin(),
        train=TrainConfig(steps=300, batch_size=16, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, schedule="linear", learning_rate=2e-3, warmup_steps=50),
    )


def mini() -> Config:
    return Config(
        name="modernbert_mini",
        model=replace(
            VARIANTS["base"],
            num_layers=4,
            num_heads=2,
            d_model=128,
            d_ff=192,
            max_positions=128,
            local_attention=32,
            attention_out_dropout=0.0,
            init_std=0.05,  # base's 0.02 times sqrt(768 / 128): queries and keys start as large as base's
        ),
        objective=objective(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_000, batch_size=32, length=64, log_every=50, eval_every=250),
        optimizer=replace(ADAM, schedule="linear", learning_rate=1.5e-3, warmup_steps=100),
    )


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants = {
        "tiny": tiny,
        "mini": mini,
        "base": lambda: paper("base", 1.719e12, 4_608, 8e-4, 3e9, first=96),
        "large": lambda: paper("large", 9e11, 4_928, 5e-4, 2e9),
        "large_2": lambda: paper("large_2", 8e11, 4_928, 5e-5, 0.0),
    }
    return pick(variants, variant)
