"""A model's results for texts, as lines to read: `experiments.generate` prints them.

An encoder fills the masks of a text, a decoder continues it, an encoder-decoder fills its sentinels or blanks and
rewrites a text without any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plmjax.decode.fill import Candidate, blanks
from plmjax.errors import UserError
from plmjax.pipelines.generate import template_of
from plmjax.pipelines.model import Model

CANDIDATES = 5  # of a mask
NEW_TOKENS = 64


def blocks(
    model: Model,
    texts: Sequence[str],
    settings: Mapping[str, Any],
    source: str | None = None,
    target: str | None = None,
) -> Iterator[str]:
    """Yields a block of lines for each text: the text after `> `, then what was made of it.

    Args:
        model: of any kind.
        texts: any strings.
        settings: fields of GenerationConfig; see `with_defaults`. Of an encoder `top_k` is the number of candidates.
        source, target: an mBART's languages.

    Raises:
        UserError: as the methods of Model.
    """
    if model.module.kind == "encoder":
        if unused := sorted(settings.keys() - {"top_k"}):
            raise UserError(f"{model.architecture} fills masks, for which {unused[0]} means nothing: leave it out.")
        for text in texts:
            masks = model.fill_mask(text, settings.get("top_k") or CANDIDATES)
            yield f"> {text}\n{_mask_lines(masks)}"
        return
    for text, found in zip(texts, _generated(model, texts, settings, source, target), strict=True):
        yield "\n".join([f"> {text}", *found])


def stream(model: Model, text: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Streams the block of one text that a decoder continues, piece by piece as it is generated."""
    pieces = model.stream(text, **with_defaults(model, settings))
    yield f"> {text}\n{text}"
    yield from pieces


def with_defaults(model: Model, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with what is usual for lines to read, where neither they nor the checkpoint say otherwise.

    A decoder that continues a text samples, and so does whatever gives several texts without a beam search. A
    temperature of 0 is greedy, and any other samples.
    """
    found = {name: value for name, value in settings.items() if value is not None}
    stated = model.generation
    if not {"max_new_tokens", "max_length"} & (found.keys() | stated.keys()):
        found["max_new_tokens"] = NEW_TOKENS
    searches = (found.get("num_beams") or stated.get("num_beams", 1)) > 1
    several = max(found.get("num_return_sequences", 1), found.get("best_of", 1)) > 1
    if "temperature" in found:
        found.setdefault("do_sample", found["temperature"] > 0)
    elif not stated.get("do_sample"):
        continues = model.module.kind == "decoder" and template_of(model) is None
        found.setdefault("do_sample", (continues or several) and not searches)
    if found.get("temperature") == 0:
        del found["temperature"]
    return found


def _generated(
    model: Model, texts: Sequence[str], settings: Mapping[str, Any], source: str | None, target: str | None
) -> list[list[str]]:
    """The texts that are generated for each text; a continued one begins with what it continues."""
    settings = with_defaults(model, settings)
    if model.module.kind == "decoder":
        rewrites = template_of(model, source, target) is not None
        found = _as_rows(model.generate(list(texts), **settings))
        if rewrites:
            return found
        return [[text + more for more in rows] for text, rows in zip(texts, found, strict=True)]
    # Where the source has a tokenizer of its own a blank means nothing, and without blanks there need be no sentinels.
    has_blank = [bool(blanks(text)) and model.source_tokenizer is None for text in texts]
    with_blanks = [text for text, has in zip(texts, has_blank, strict=True) if has]
    without = [text for text, has in zip(texts, has_blank, strict=True) if not has]
    filled = iter(_as_rows(model.fill_mask(with_blanks, **settings)) if with_blanks else [])
    rewritten = iter(_as_rows(model.generate(without, source=source, target=target, **settings)) if without else [])
    return [[one.text for one in next(filled)] if has else next(rewritten) for has in has_blank]


def _as_rows(found: list[Any]) -> list[list[Any]]:
    return [one if isinstance(one, list) else [one] for one in found]


def _mask_lines(masks: Sequence[Sequence[Candidate]]) -> str:
    lines = []
    for number, candidates in enumerate(masks, start=1):
        for rank, candidate in enumerate(candidates):
            label = "" if rank else f"mask {number}"
            lines.append(f"{label:8} {candidate.probability:7.2%}  {candidate}")
    return "\n".join(lines)
