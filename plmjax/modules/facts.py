"""Facts that only some networks' configurations state, with the answer for the others.

Elsewhere nothing asks whether a configuration has a field.
"""

from typing import Any


def max_positions_of(config: Any) -> int | None:
    """The longest text that a network has positions for; None where positions are distances or computed."""
    return getattr(config, "max_positions", None)


def position_offset_of(config: Any) -> int:
    """The rows of the position table before position 0."""
    return getattr(config, "position_offset", 0)


def doubles_separator(config: Any) -> bool:
    """Whether a pair of texts has two separators between them, as RoBERTa's has, whose positions begin at an offset."""
    return position_offset_of(config) > 0


def token_types_of(config: Any) -> int | None:
    """The rows of the table of token types; None where types only tell one text from another, or nothing."""
    return getattr(config, "token_type_vocab", None)


def num_languages_of(config: Any) -> int | None:
    """The rows of the table of languages; None for a network without one."""
    return getattr(config, "num_languages", None)


def vocabulary_cuts_of(config: Any) -> tuple[int, ...]:
    """The rows where the vocabulary is cut into several tables (adaptive softmax); empty: it is one table."""
    return getattr(config, "cutoffs", ())


def source_vocab_size_of(config: Any) -> int:
    """The rows of the table of the tokens that are read, which an encoder may have for itself."""
    return getattr(config, "source_vocab_size", config.vocab_size)


def memory_length_of(config: Any) -> int | None:
    """The states of the text before that a network remembers; None for a network without a memory."""
    return getattr(config, "memory_length", None)


def heads_of(config: Any) -> tuple[str, ...]:
    """The heads of a network; one whose configuration names none has that of the vocabulary."""
    return getattr(config, "heads", ("token",))


def num_labels_of(config: Any) -> int | None:
    """The classes of a network's heads; None for a network that has no such heads."""
    return getattr(config, "num_labels", None)


def pools_all_tokens(config: Any) -> bool:
    """Whether a text's class is read from the mean of its tokens, not from one of them (ModernBERT may)."""
    return getattr(config, "pooling", "cls") == "mean"


def adapter_width_of(config: Any) -> int | None:
    """The width of the adapters, 0 without them; None for a network that can have none."""
    return getattr(config, "adapter_width", None)


def shares_layers(config: Any) -> bool:
    """Whether layers have parameters in common."""
    return getattr(config, "sharing", "none") != "none"


def num_decoder_layers_of(config: Any) -> int:
    """The layers of the stack that writes."""
    return getattr(config, "num_decoder_layers", config.num_layers)
