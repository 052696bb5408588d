r"""BART that translates from a language with a tokenizer of its own, in two stages (Lewis et al. 2019, Sec. 3.4, 5.4).

    python -m experiments.finetune --from=BART_DIR --task=wmt_ro_en \
        --config=experiments/configs/finetune/bart_translation.py:VARIANT --config.seq2seq.source_tokenizer=DIR

| variant | what it is | hardware, time | result |
|---|---|---|---|
| paper | "tuned BART": a new encoder of 6 layers for 9/10 of the steps, then all of it | not measured | not measured |
| fixed | "fixed BART": the first stage alone | not measured | not measured |
| mini | small networks: 2 layers, 10 epochs of 32 rows, half in each stage; greedy | not measured | not measured |

The source's tokenizer is a folder or file that load_tokenizer reads, such as STORE/tokenizer of
experiments.prepare. 6 layers, 5 beams and a length penalty of 1 are the paper's, the smoothing that of its other tasks
of writing (Sec. 5.3); it tells neither rate, batch, steps, nor how many of them are of which stage. It adds
back-translations, without which it found the method prone to over-fit; give them as lines of --task.train.
"""

from dataclasses import replace

from experiments.configs.common import pick
from plmjax.decode.config import GenerationConfig
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.finetune.seq2seq_config import Seq2SeqConfig
from plmjax.finetune.update_strategies import NewEncoderFirst
from plmjax.train.config import OptimizerConfig


def paper() -> FineTune:
    return FineTune(
        name="bart_translation",
        train=FineTuneTrainConfig(steps=100_000, batch_size=128, warmup_ratio=0.04, eval_every=5_000),
        optimizer=OptimizerConfig(learning_rate=3e-4, b2=0.98, eps=1e-6, weight_decay=0.01, clip_norm=0.1),
        update_strategy=NewEncoderFirst(0.9),
        dropout=0.1,
        truncation=True,
        seq2seq=Seq2SeqConfig(label_smoothing=0.1, source_layers=6),
        generation=GenerationConfig(num_beams=5),
    )


def fixed() -> FineTune:
    return replace(paper(), name="bart_translation_fixed", update_strategy=NewEncoderFirst(1.0))


def mini() -> FineTune:
    return FineTune(
        name="mini_translation",
        train=FineTuneTrainConfig(epochs=10.0, batch_size=32, warmup_ratio=0.1),
        optimizer=OptimizerConfig(learning_rate=1e-3, b2=0.98, eps=1e-6, weight_decay=0.01, clip_norm=1.0),
        update_strategy=NewEncoderFirst(0.5),
        dropout=0.1,
        truncation=True,
        seq2seq=Seq2SeqConfig(label_smoothing=0.1, source_layers=2),
        generation=GenerationConfig(no_repeat_ngram_size=3),
    )


def get_config(variant: str = "paper") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"paper": paper, "fixed": fixed, "mini": mini}, variant)
