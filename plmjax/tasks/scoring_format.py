"""How a network is asked for a text's likelihood, where its kind does not tell: by its family and its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.modules.facts import num_languages_of

CODED = "ConditionalLM"  # the objective that reads every text under a control code
WHOLE_CONTEXT = "PrefixLM"  # the objective whose encoder is shown the text before, and nothing in place of the rest


@dataclass(frozen=True, slots=True)
class ScoringFormat:
    """What the kind of a network does not tell.

    Attributes:
        start: the first token of an encoder-decoder's decoder.
        shown: what stands in an encoder-decoder's input for the text to score: "sentinel" (T5), "mask" (BART; its
            decoder writes the context too), or "" for nothing.
        prefix: tokens before all that a decoder reads: a control code (CTRL).
        language: the row of XLM's language table; None: no language is added.
    """

    start: int | None = None
    shown: str = ""
    prefix: tuple[int, ...] = ()
    language: int | None = None


def find_scoring_format(
    config: Any,
    kind: str,
    tokenizer: Tokenizer,
    special: Mapping[str, int],
    trained: Mapping[str, Any],
    *,
    shown: str | None = "",
    is_prefix_lm: bool = False,
    code: str = "",
    language: str = "",
) -> ScoringFormat:
    """How a checkpoint is asked.

    Args:
        config: of the network.
        kind: of the network.
        tokenizer: its own.
        special: its special ids under Hugging Face's names.
        trained: the objective that it was trained with, as its checkpoint has it in JSON; empty where it has none.
        shown: see ScoringFormat; None: the family's texts can't be scored, as mBART's, which begin with a language.
        is_prefix_lm: whether a decoder sees its inputs whole.
        code: the control code of the texts, for a network that was trained with codes.
        language: of the texts, for a network with a language table: its name or its row.

    Raises:
        UserError: a code or a language is missing, unknown or of no use; or an encoder-decoder lacks its first token.
    """
    objective = str(trained.get("type", "")).rpartition(":")[2]
    if shown is None:
        raise UserError(
            "An mBART writes each text after its language's token, which evaluation has no place for: use another "
            "encoder-decoder."
        )
    if is_prefix_lm:
        raise UserError(
            "A prefix LM sees its inputs whole and up to their EOS, for which evaluation has no place: use another "
            "decoder."
        )
    start = special.get("decoder_start_token_id")
    if kind == "encoder_decoder" and start is None:
        raise UserError("The checkpoint does not say which token its decoder starts from: load one that does.")
    return ScoringFormat(
        start,
        "" if objective == WHOLE_CONTEXT else shown,
        tuple(_prefix(kind, objective, tokenizer, code)),
        _language(num_languages_of(config) or 0, trained.get("languages") or (), language),
    )


def _prefix(kind: str, objective: str, tokenizer: Tokenizer, code: str) -> list[int]:
    if code and kind != "decoder":
        raise UserError(f"--code is {code!r}, but this network is no decoder, which alone reads control codes.")
    if objective == CODED and not code:
        raise UserError("This network has read every text under a control code: name that of the texts with --code.")
    tokens = tokenizer.encode(code) if code else []
    if code and not tokens:
        raise UserError(f"--code is {code!r}, which has no token: name a code that the network was trained with.")
    return tokens


def _language(count: int, names: Sequence[str], language: str) -> int | None:
    """The row of a table of `count` languages."""
    if count < 2:
        if language:
            raise UserError(f"--language is {language!r}, but this network tells no languages apart: leave it out.")
        return None
    if language in names:
        return list(names).index(language)
    if language.isascii() and language.isdigit() and int(language) < count:
        return int(language)
    known = f"{', '.join(names)}, or " if names else ""
    raise UserError(
        f"This network knows {count} languages, and --language is {language!r}: give that of the texts, {known}0 to "
        f"{count - 1}, its row in the network's table."
    )
