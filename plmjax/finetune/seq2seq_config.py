"""The settings of tasks whose answer is a text: how targets are learned, and how they are generated."""

from dataclasses import dataclass

from plmjax.decode.config import GenerationConfig
from plmjax.errors import UserError


@dataclass(slots=True)
class Seq2SeqConfig:
    """How sources are read and targets learned; FineTune's `generation` says how texts are generated."""

    max_target_length: int = 0  # tokens of a target, its end included; 0: as many as there are positions
    label_smoothing: float = 0.0  # of the loss in training
    z_loss: float = 0.0  # of the loss in training (T5: 1e-4)
    source_language: str = ""  # of an mBART: en_XX; its texts' where it generates none
    target_language: str = ""  # of an mBART, or of a Marian with several targets
    source_tokenizer: str = ""  # folder or file: a BART gets a new encoder of its tokens (Lewis et al. 2019, Sec. 3.4)
    source_layers: int = 6  # of that encoder


# What evaluation does not do, and what the checkpoint decides.
FIXED = (
    "do_sample", "temperature", "top_k", "top_p", "best_of", "num_return_sequences", "seed", "eos_token_id",
    "pad_token_id", "decoder_start_token_id", "forced_bos_token_id",
)  # fmt: skip


def check_seq2seq(seq2seq: Seq2SeqConfig, generation: GenerationConfig, size: int) -> None:
    """Raises UserError for settings out of range; `size` is that of the vocabulary."""
    if seq2seq.max_target_length < 0:
        raise UserError(f"seq2seq.max_target_length is {seq2seq.max_target_length}: it must be at least 0.")
    if not 0.0 <= seq2seq.label_smoothing < 1.0:
        raise UserError(f"seq2seq.label_smoothing is {seq2seq.label_smoothing}: it must be at least 0 and below 1.")
    if seq2seq.z_loss < 0:
        raise UserError(f"seq2seq.z_loss is {seq2seq.z_loss}: it must be at least 0.")
    usual = GenerationConfig()
    for name in FIXED:
        if getattr(generation, name) != getattr(usual, name):
            raise UserError(
                f"generation.{name} is {getattr(generation, name)}, but evaluation generates one text, greedily or by "
                "beam search, between the checkpoint's own special tokens: leave it out."
            )
    if generation.new_tokens < 1:
        raise UserError(f"generation.max_new_tokens is {generation.max_new_tokens}: it must be at least 1.")
    if not 1 <= generation.num_beams <= size // 2:
        raise UserError(
            f"generation.num_beams is {generation.num_beams}: give 1 or more, at most half as many as there are tokens."
        )
    generation.strategy()
    generation.logits_processors()
