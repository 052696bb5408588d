"""XLNet (Yang et al. 2019): permutation LM with two streams.

    python -m experiments.pretrain --config=experiments/configs/xlnet.py:VARIANT --config.data.store=STORE

| variant   | what it is | hardware, time | validation loss |
|---|---|---|---|
| tiny      | the built-in corpus, to see it run | 2 CPU cores, 1 minute | not measured |
| mini      | 3 M words of English, see docs/results | 2 CPU cores, shared; 3 minutes | 5.472 (8.458), spans of words |
| mini_memory | a memory of 64 tokens, half of the rows backwards | a shared CPU core; 19 minutes | 5.518 (8.452) |
| base      | Table 6's, K = 6, by BERT base's budget: 1,000,000 steps of 256 x 512 | not measured | not measured |
| large     | 500,000 steps of 8,192 x 512 | TPU v3-512 in the paper; not measured | not measured |

mini_memory, base and large follow the released code (zihangdai/xlnet, data_utils.py) where the paper says less. A
window is `text A <sep> B <sep> <cls>`, half of it text that goes into the memory and sees nothing of the rest; the next
window begins after that text. B follows A in half of the windows. Spans of 1 to 5 tokens from a word start on are
predicted, 43 and 42 tokens of the halves of 512, in an order that is random within halves; half of the rows read the
text from its end. tiny and mini read RoBERTa's full sentences without a memory. AdamW without bias correction, decay
0.01, as the released code has it; the rate of the large model falls linearly from 4e-4, and its batch is the published
paper's (arXiv's first version: 2,048).

mini_memory, fine-tuned with three seeds: CoNLL-2003 43.1, 46.5, 43.1 F1 (random parameters 34.5, 35.8, 36.9; before the
released mask and windows 37.3, 36.8, 45.2), SST-2 77.4, 77.2, 77.5 (76.1, 77.2, 77.7; 77.2, 77.1, 77.1); see
docs/results/encoders.md. mini's loss is with `prediction.whole_words=True`.

Table 6's other rows: `--config.model.memory_length=0` ("- memory"), `--config.objective.window.both_ways=False` ("-
bidirectional data"), `prediction.spans=False` ("- span-based prediction"), `prediction.k=7`.
"""

from dataclasses import replace

from experiments.configs.common import ENGLISH, builtin, pick
from plmjax.data.windows import PairStreams
from plmjax.modules.xlnet import VARIANTS
from plmjax.objectives.permutation_lm import PartialPrediction, PermutationLM, RecurrentPermutationLM
from plmjax.train.config import Config, OptimizerConfig, TrainConfig

ADAM = OptimizerConfig(
    name="adamw", schedule="linear", eps=1e-6, weight_decay=0.01, bias_correction=False, clip_norm=1.0
)


def remembering(length: int) -> RecurrentPermutationLM:
    """Half of each window goes into the memory, and the order is random within halves."""
    return RecurrentPermutationLM(
        window=PairStreams(reuse_length=length // 2, both_ways=True), prediction=PartialPrediction(block=length // 2)
    )


def paper(size: str, steps: int, batch_size: int, learning_rate: float, warmup_steps: int) -> Config:
    """A run of the paper at length 512."""
    return Config(
        name=f"xlnet_{size}",
        model=replace(VARIANTS[size], dtype="bfloat16", memory_length=384, reuse_length=256),
        objective=remembering(512),
        train=TrainConfig(steps=steps, batch_size=batch_size, length=512, log_every=100, eval_every=10_000),
        optimizer=replace(ADAM, learning_rate=learning_rate, warmup_steps=warmup_steps),
    )


def tiny() -> Config:
    return Config(
        name="xlnet_tiny",
        model=replace(VARIANTS["tiny"]),
        objective=PermutationLM(),
        data=builtin(),
        train=TrainConfig(steps=200, batch_size=8, length=64, eval_every=100, eval_batches=20),
        optimizer=replace(ADAM, learning_rate=1e-3, warmup_steps=50),
    )


def mini() -> Config:
    return Config(
        name="xlnet_mini",
        model=replace(
            VARIANTS["base"],
            num_layers=2,
            num_heads=2,
            d_model=128,
            d_ff=512,
            dropout=0.0,
            attention_dropout=0.0,
            init_std=0.05,  # base's 0.02 times sqrt(768 / 128): queries and keys start as large as base's
        ),
        objective=PermutationLM(),
        data=replace(ENGLISH),
        train=TrainConfig(steps=1_500, batch_size=16, length=64, log_every=50, eval_every=500, eval_batches=40),
        optimizer=replace(ADAM, learning_rate=1.5e-3, warmup_steps=100, b2=0.98, bias_correction=True),
    )


def mini_memory() -> Config:
    config = mini()
    config.name = "xlnet_mini_memory"
    config.model = replace(config.model, memory_length=64, reuse_length=32)
    config.objective = remembering(64)
    return config


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants = {
        "tiny": tiny,
        "mini": mini,
        "mini_memory": mini_memory,
        "base": lambda: paper("base", 1_000_000, 256, 1e-4, 10_000),
        "large": lambda: paper("large", 500_000, 8_192, 4e-4, 40_000),
    }
    return pick(variants, variant)
