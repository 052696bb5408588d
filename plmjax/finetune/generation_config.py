"""The settings of tasks that are done by writing."""

from dataclasses import dataclass
from typing import Any

from plmjax.errors import UserError


@dataclass(slots=True)
class WriterConfig:
    """How targets are learned and written, where a task is done by writing. What is 0 in lengths is filled in."""

    target_length: int = 0  # tokens of a target at most, its end included; 0: as many as there are positions
    label_smoothing: float = 0.0  # of the loss while it is trained
    z_loss: float = 0.0  # of the loss while it is trained (T5: 1e-4)
    beams: int = 1  # of the search; 1: greedy
    length_penalty: float = 1.0  # of a search: scores are sums of log probabilities over length ** length_penalty
    early_stopping: bool = False  # of a search: whether it ends with as many texts as beams
    max_new_tokens: int = 0  # tokens that are written at most, 0: target_length
    min_new_tokens: int = 0  # before which no text ends
    no_repeat_ngram: int = 0  # no so many tokens are written twice; 0: they may be
    source_language: str = ""  # of an mBART: en_XX; its texts' where it writes none
    target_language: str = ""  # of an mBART, or of a Marian that writes several
    source_tokenizer: str = ""  # folder or file: a BART gets a new encoder of its tokens (Lewis et al. 2019, Sec. 3.4)
    source_layers: int = 6  # of that encoder


def check_writer(writer: Any, size: int) -> None:
    """UserError for settings that no writer can have."""
    for name in ("target_length", "max_new_tokens", "min_new_tokens", "no_repeat_ngram"):
        if getattr(writer, name) < 0:
            raise UserError(f"writer.{name} is {getattr(writer, name)}: it must be at least 0.")
    if not 1 <= writer.beams <= size // 2:
        raise UserError(f"writer.beams is {writer.beams}: give 1 or more, at most half as many as there are tokens.")
    if not 0.0 <= writer.label_smoothing < 1.0:
        raise UserError(f"writer.label_smoothing is {writer.label_smoothing}: it must be at least 0 and below 1.")
    if writer.z_loss < 0:
        raise UserError(f"writer.z_loss is {writer.z_loss}: it must be at least 0.")
