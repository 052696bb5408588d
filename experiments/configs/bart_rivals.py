"""What BART is compared with in its Table 1 (Lewis et al. 2019, Sec. 4.1), all at BART's size.

    python -m experiments.pretrain --config=experiments/configs/bart_rivals.py:VARIANT --config.data.store=STORE

| variant | what it is | hardware, time | validation loss |
|---|---|---|---|
| mini_lm | 4 layers of 128 (BART's mini has 2 + 2) | 300 steps: 50 s of CPU | 6.008 after 300 (6.258) |
| mini_permuted_lm | | 300 steps: 51 s of CPU | 6.683 after 300 (5.820) |
| mini_masked_lm | | 300 steps: 38 s of CPU | 6.768 after 300 (5.856) |
| mini_multitask_masked_lm | | 300 steps: 37 s of CPU | 6.766 after 300 (5.856) |
| mini_masked_seq2seq | 2 + 2 layers | 300 steps: 43 s of CPU | 6.486 after 300 (6.069) |
| base_lm | BART's decoder without cross-attention, 12 layers of 768 | TPU v3-32; not measured | not measured |
| base_permuted_lm | a sixth of the tokens, one by one in a random order | TPU v3-32; not measured | not measured |
| base_masked_lm | 15% masks, predicted apart from each other | TPU v3-32; not measured | not measured |
| base_multitask_masked_lm | the same under UniLM's attention masks | TPU v3-32; not measured | not measured |
| base_masked_seq2seq | MASS on BART's network: a fragment of half the text | TPU v3-32; not measured | not measured |

Permuted, masked and multitask masked LM share one network, RoBERTa's layout with a second stream: the permuted LM is
trained by it, and the paper scores texts by it for all three. Its positions are absolute, and it has no memory. Every
chosen token becomes the mask, as the paper says it; BERT's 80% are `--config.objective.masking.mask_share=0.8
--config.objective.masking.random_share=0.1`. Steps and rates are those of bart.py's base and mini: the paper has 1M
steps and tunes the rest for each objective, without saying to what.

"300 steps": with --config.train.steps=300, the unigram entropy of the targets in brackets.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from experiments.configs import bart
from experiments.configs.common import ENGLISH, pick
from plmjax.modules import bart_lm, bert_two_stream
from plmjax.objectives.causal_lm import CausalLM
from plmjax.objectives.masked_lm import MaskedLM, Masking
from plmjax.objectives.mass import Mass
from plmjax.objectives.multitask_masked_lm import MultitaskMaskedLM
from plmjax.objectives.permutation_lm import PartialPrediction, PermutationLM
from plmjax.train.config import Config


def _masks() -> Masking:
    return Masking(mask_share=1.0, random_share=0.0)


# For each rival: the sizes of its network, and its objective.
RIVALS: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
    "lm": (bart_lm.VARIANTS, CausalLM),
    "permuted_lm": (
        bert_two_stream.VARIANTS,
        lambda: PermutationLM(prediction=PartialPrediction(k=6.0, spans=False)),
    ),
    "masked_lm": (bert_two_stream.VARIANTS, lambda: MaskedLM(masking=_masks())),
    "multitask_masked_lm": (bert_two_stream.VARIANTS, lambda: MultitaskMaskedLM(masking=_masks())),
    "masked_seq2seq": (bart.VARIANTS, Mass),
}


def run(size: str, rival: str) -> Config:
    """One row of Table 1."""
    sizes, objective = RIVALS[rival]
    config = bart.base(size, bart.MIXTURE) if size == "base" else bart.mini()
    config.name = f"bart_rival_{size}_{rival}"
    config.objective = objective()
    config.model = replace(sizes[size], dtype="bfloat16")
    if size == "mini":
        config.model = replace(sizes[size], dropout=0.0, attention_dropout=0.0, init_std=0.05)
        if rival == "lm":
            config.model.position_init_std = 0.05
        config.data = replace(ENGLISH)
        config.train = replace(config.train, steps=400, eval_every=200)
    return config


def get_config(variant: str = "mini_multitask_masked_lm") -> Config:
    """The run of a variant in the table above."""
    return pick(
        {f"{size}_{rival}": partial(run, size, rival) for size in ("mini", "base") for rival in RIVALS}, variant
    )
