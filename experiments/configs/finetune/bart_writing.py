"""BART, and mBART, on tasks of writing (Lewis et al. 2019, Sec. 5.3; Liu et al. 2020; the released commands).

    python -m experiments.finetune --from=DIR --task=xsum --config=experiments/configs/finetune/bart_writing.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| cnn_dm | 20,000 steps, 4 beams, length penalty 2, 55 to 140 tokens | not measured | not measured |
| xsum | 15,000 steps, 6 beams, length penalty 1, 10 to 60 tokens | not measured | not measured |
| paper | any task: 5 beams, no trigram twice | not measured | not measured |
| mbart | 40,000 steps, label smoothing 0.2, dropout 0.3, 5 beams | not measured | not measured |
| mini | small networks: up to 10 epochs of 32 rows, early stopping, greedy | not measured | not measured |

The commands fill a step with up to 65,536 (cnn_dm) or 32,768 (xsum) tokens on 8 GPUs, about the 64 rows here; mBART's
with 2,048 a GPU. Biases and norms decay too. The label smoothing spreads over all tokens, the target too, as in Hugging
Face; fairseq's leaves the target out. An mBART's attention weights have dropout 0.3 too, in the command 0.1; it needs
its languages: --config.seq2seq.source_language=en_XX --config.seq2seq.target_language=ro_RO. `mini` serves a GPT-2 as
well.
"""

from dataclasses import replace

from experiments.configs.common import pick
from plmjax.decode.config import GenerationConfig
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.finetune.seq2seq_config import Seq2SeqConfig
from plmjax.train.config import OptimizerConfig

ADAM = OptimizerConfig(learning_rate=3e-5, weight_decay=0.01, exclude_from_weight_decay="nothing", clip_norm=0.1)


def paper() -> FineTune:
    return FineTune(
        name="bart_writing",
        train=FineTuneTrainConfig(steps=20_000, batch_size=64, warmup_ratio=0.025),
        optimizer=ADAM,
        dropout=0.1,
        truncation=True,
        seq2seq=Seq2SeqConfig(label_smoothing=0.1),
        generation=GenerationConfig(num_beams=5, no_repeat_ngram_size=3),
    )


def cnn_dm() -> FineTune:
    found = paper()
    generation = replace(found.generation, num_beams=4, length_penalty=2.0, min_new_tokens=55, max_new_tokens=140)
    return replace(found, name="bart_cnn_dm", generation=generation)


def xsum() -> FineTune:
    found = paper()
    return replace(
        found,
        name="bart_xsum",
        train=replace(found.train, steps=15_000, warmup_ratio=1 / 30),
        generation=replace(found.generation, num_beams=6, min_new_tokens=10, max_new_tokens=60),
    )


def mbart() -> FineTune:
    return FineTune(
        name="mbart_writing",
        train=FineTuneTrainConfig(steps=40_000, batch_size=64, warmup_ratio=1 / 16, eval_every=5000),
        optimizer=OptimizerConfig(learning_rate=3e-5, b2=0.98, eps=1e-6),
        dropout=0.3,
        truncation=True,
        seq2seq=Seq2SeqConfig(label_smoothing=0.2),
        generation=GenerationConfig(num_beams=5),
    )


def mini() -> FineTune:
    return FineTune(
        name="mini_writing",
        train=FineTuneTrainConfig(epochs=10.0, batch_size=32, warmup_ratio=0.1, patience=3),
        optimizer=OptimizerConfig(learning_rate=5e-4, eps=1e-6, weight_decay=0.01, clip_norm=1.0),
        dropout=0.1,
        truncation=True,
        seq2seq=Seq2SeqConfig(label_smoothing=0.1),
        generation=GenerationConfig(no_repeat_ngram_size=3),
    )


def get_config(variant: str = "paper") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"paper": paper, "cnn_dm": cnn_dm, "xsum": xsum, "mbart": mbart, "mini": mini}, variant)
