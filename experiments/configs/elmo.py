"""ELMo (Peters et al. 2018): a language model each way over words that are read as characters.

    python -m experiments.pretrain --config=experiments/configs/elmo.py:VARIANT --config.data.store=STORE

| variant  | what it is | hardware, time | validation perplexity, each way |
|---|---|---|---|
| tiny     | the words of the built-in corpus, to see it run | 2 CPU cores, shared; 1 minute | 147.8, 146.9 |
| mini     | 3 M words of English, 8,000 predicted | 2 CPU cores, shared; 5 minutes | 181.2, 177.8 |
| small    | the released 13.6M: 1024 cells, 128 wide | not measured | not measured |
| medium   | the released 28.0M: 2048 cells, 256 wide | not measured | not measured |
| original | the released 93.6M: 10 epochs of the 1B Word Benchmark | not measured | not measured; 39.7 in the paper |

Make the store with `--tokenizer=words`, or `--tokenizer=whitespace` for text that is cut into words already, as the 1B
Word Benchmark is: 768,648,884 words, of which the vocabulary released with the code predicts 793,471
(`--vocab_size=793471`). All but tiny and mini score words against 8,192 others in training, validation against all.

Adagrad of rate 0.2, 20 steps of truncated backpropagation, the state carried on. The released code multiplies the loss
by these 20 steps before it clips at 10 and starts its sums of squares from 1: the same as clipping at 10 / 20 and
starting from 1 / 20^2 with the loss as it is, which is what stands here.
"""

from dataclasses import replace

from experiments.configs.common import pick
from plmjax.data.store.prepare import PrepareOptions
from plmjax.data.windows import SentenceStreams
from plmjax.modules.elmo import VARIANTS
from plmjax.objectives import BidirectionalLM
from plmjax.train.config import Config, DataConfig, OptimizerConfig, TrainConfig

UNROLL = 20
BATCH = 3 * 128
WORDS = 768_648_884  # of the 1B Word Benchmark, ends of sentences not among them
ADAGRAD = OptimizerConfig(
    name="adagrad",
    schedule="constant",
    learning_rate=0.2,
    initial_accumulator=1.0 / UNROLL**2,
    clip_norm=10.0 / UNROLL,
)


def paper(variant: str) -> Config:
    """The released script's run."""
    return Config(
        name=f"elmo_{variant}",
        model=replace(VARIANTS[variant]),
        objective=BidirectionalLM(samples=8_192),
        train=TrainConfig(
            steps=10 * (WORDS // (BATCH * UNROLL)),
            batch_size=BATCH,
            length=UNROLL,
            log_every=100,
            eval_every=12_500,
            eval_batch_size=BATCH,
        ),
        optimizer=replace(ADAGRAD),
    )


def small_run(variant: str, data: DataConfig, steps: int) -> Config:
    model = replace(VARIANTS[variant], dropout=0.0)
    return Config(
        name=f"elmo_{variant}",
        model=model,
        objective=BidirectionalLM(window=SentenceStreams(model.characters)),
        data=data,
        train=TrainConfig(steps=steps, batch_size=32, length=UNROLL, log_every=50, eval_every=steps // 2),
        optimizer=replace(ADAGRAD),
    )


def tiny() -> Config:
    words = PrepareOptions(sources=("builtin",), tokenizer="words", vocab_size=2_048)
    return small_run("tiny", DataConfig(prepare=words), 200)


def mini() -> Config:
    return small_run("mini", DataConfig(store="runs/english_words"), 1_000)


def get_config(variant: str = "mini") -> Config:
    """The run of a variant in the table above."""
    variants = {"tiny": tiny, "mini": mini}
    for name in ("small", "medium", "original"):
        variants[name] = lambda name=name: paper(name)  # type: ignore[misc]
    return pick(variants, variant)
