"""T5 (Raffel et al. 2020, Sec. 2.4, 3.1.3 and 3.7): every task is done by writing, in the paper's words.

    python -m experiments.finetune --from=DIR --task=sst2 --config=experiments/configs/finetune/t5.py:VARIANT

| variant | what it is | hardware, time | result |
|---|---|---|---|
| base | 2^18 steps of 128 rows of 512 tokens, Adafactor at 0.001; greedy | not measured | not measured |
| search | the same, by 4 beams with length penalty 0.6: WMT, CNN/DM (Sec. 3.7) | not measured | not measured |
| final | single tasks of GLUE and SuperGLUE: batches of 8 rows (Sec. 3.7) | not measured | not measured |
| mini | small networks: up to 10 epochs of 32 rows, early stopping | not measured | not measured |

The paper packs its rows, so that a step has up to 128 x 512 tokens; here a row is an example. Its length penalty is
that of Wu et al. 2016, ((5 + length) / 6)^0.6, here length^0.6. Its BLEU is --task.metric=bleu_intl. --task takes a
name of the catalogue, a mixture of them (glue_mixture, super_glue_mixture with DPR), or a task of your own, whose texts
begin with --task.name.
"""

from dataclasses import replace

from experiments.configs.common import pick
from plmjax.decode.config import GenerationConfig
from plmjax.finetune.config import FineTune, FineTuneTrainConfig
from plmjax.finetune.seq2seq_config import Seq2SeqConfig
from plmjax.train.config import OptimizerConfig


def base() -> FineTune:
    return FineTune(
        name="t5",
        task_model="text_to_text",
        train=FineTuneTrainConfig(steps=2**18, batch_size=128, warmup_ratio=0.0, eval_every=5000),
        optimizer=OptimizerConfig(name="adafactor", schedule="constant", learning_rate=1e-3),
        dropout=0.1,
        max_length=512,
        truncation=True,
        seq2seq=Seq2SeqConfig(max_target_length=512, z_loss=1e-4),
    )


def search() -> FineTune:
    found = base()
    return replace(found, name="t5_search", generation=GenerationConfig(num_beams=4, length_penalty=0.6))


def final() -> FineTune:
    found = base()
    return replace(found, name="t5_final", train=replace(found.train, batch_size=8, eval_every=1000))


def mini() -> FineTune:
    found = base()
    return replace(
        found,
        name="t5_mini",
        train=FineTuneTrainConfig(epochs=10.0, batch_size=32, warmup_ratio=0.0, patience=3),
        max_length=0,
        seq2seq=replace(found.seq2seq, max_target_length=128),
    )


def get_config(variant: str = "base") -> FineTune:
    """The recipe of a variant in the table above."""
    return pick({"base": base, "search": search, "final": final, "mini": mini}, variant)
