"""What a checkpoint makes of texts, as lines to read: the part of `experiments.generate` that thinks.

An encoder fills the masks of a text, a decoder continues it, an encoder-decoder fills its sentinels
or blanks and rewrites a text without any.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plmjax.data.templates import Seq2SeqTemplate
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.decode.fill import blanks, fill_mask, fill_sentinels
from plmjax.decode.generate import choose_strategy
from plmjax.decode.generate_tokens import Strategy
from plmjax.decode.logits_processors import LogitsProcessor, make_logits_processors
from plmjax.decode.sampling import Sampling
from plmjax.decode.text import continue_text, rewrite_text, stream_text
from plmjax.errors import UserError
from plmjax.modules import Bound

CANDIDATES = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """How to respond. Numbers that a kind of network has no use for are ignored."""

    max_new_tokens: int = 64  # the most tokens to write
    temperature: float | None = None  # None: 1 for a decoder or for several samples, otherwise 0
    top_k: int | None = None  # draw from the k likeliest; for a mask: candidates shown (None: 5)
    top_p: float | None = None  # draw from the smallest set with this mass
    seed: int = 0
    samples: int = 1  # texts written for each text
    best_of: int = 1  # draw so many candidates and take the likeliest
    beams: int = 1  # over 1: beam search
    length_penalty: float = 1.0  # of a beam search
    early_stopping: bool | str = False  # of a beam search
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0  # no so many tokens are written twice; 0: they may be
    more_rules: tuple[LogitsProcessor, ...] = ()  # after those of the two before
    template: Seq2SeqTemplate | None = None  # of a text that is rewritten; None: an encoder-decoder's is T5's

    def method(self, kind: str) -> Strategy:
        """Raises a UserError for a number out of range, samples that would all be the same, or two that do not fit."""
        draws = (kind == "decoder" and self.template is None) or self.samples > 1 or self.best_of > 1
        usual = 1.0 if draws and self.beams == 1 else 0.0
        temperature = usual if self.temperature is None else self.temperature
        if self.samples > 1 and temperature == 0:
            raise UserError(f"At temperature 0 all {self.samples} samples are the same: raise the temperature.")
        try:
            return choose_strategy(
                do_sample=temperature > 0,
                sampling=Sampling(temperature, self.top_k, self.top_p),
                best_of=self.best_of,
                num_beams=self.beams,
                length_penalty=self.length_penalty,
                early_stopping=self.early_stopping,
            )
        except ValueError as error:
            raise UserError(str(error)) from error

    def processors(self) -> tuple[LogitsProcessor, ...]:
        """What shapes the scores. Raises a UserError for a number out of range."""
        try:
            first = make_logits_processors(
                repetition_penalty=self.repetition_penalty, no_repeat_ngram_size=self.no_repeat_ngram
            )
            return first + self.more_rules
        except ValueError as error:
            raise UserError(str(error)) from error


def read_texts(prompts: Sequence[str], file: Path | None) -> list[str]:
    """The prompts, or the lines of a file that are not blank.

    Raises:
        UserError: neither or both are given, or the file can't be read or has no text.
    """
    if bool(prompts) == (file is not None):
        raise UserError("Give the texts by --prompt (repeat it for several) or by --input=FILE.")
    if file is None:
        return list(prompts)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--input={file} can't be read as UTF-8 text: {error}.") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise UserError(f"--input={file} has no text: write one text a line.")
    return texts


def respond(network: Bound, tokenizer: Tokenizer | None, texts: Sequence[str], request: Request) -> Iterator[str]:
    """Yields a block of lines for each text: the text after `> `, then what was made of it.

    Raises:
        UserError: there is no tokenizer, or as `fill_mask`, `continue_text`, `fill_sentinels` and `rewrite_text` do.
    """
    if tokenizer is None:
        raise UserError("The checkpoint has no tokenizer: put its tokenizer's files into the checkpoint's directory.")
    if network.module.kind == "encoder":
        for text in texts:
            yield f"> {text}\n{_mask_lines(network, tokenizer, text, request)}"
        return
    repeated = [text for text in texts for _ in range(request.samples)]
    outputs = iter(_write(network, tokenizer, repeated, request))
    for text in texts:
        yield "\n".join([f"> {text}", *itertools.islice(outputs, request.samples)])


def stream(network: Bound, tokenizer: Tokenizer | None, text: str, request: Request) -> Iterator[str]:
    """What `respond` gives for one text that a decoder continues, piece by piece as it is written.

    Raises:
        UserError: as `respond`, or what is searched or ranked, which is known at the end alone.
    """
    if tokenizer is None:
        raise UserError("The checkpoint has no tokenizer: put its tokenizer's files into the checkpoint's directory.")
    method = request.method(network.module.kind)
    if not isinstance(method, Sampling) or request.samples > 1 or request.template is not None:
        raise UserError("Only one text that is drawn can be shown as it is written: leave out --stream.")
    yield f"> {text}\n{text}"
    settings: dict[str, Any] = {"max_new_tokens": request.max_new_tokens, "seed": request.seed}
    yield from stream_text(network, tokenizer, text, sampling=method, processors=request.processors(), **settings)


def _write(network: Bound, tokenizer: Tokenizer, texts: list[str], request: Request) -> list[str]:
    """One output a text, by a decoder or an encoder-decoder."""
    arguments: dict[str, Any] = {
        "max_new_tokens": request.max_new_tokens,
        "sampling": request.method(network.module.kind),
        "processors": request.processors(),
        "seed": request.seed,
    }
    if network.module.kind == "decoder" and request.template is not None:
        return rewrite_text(network, tokenizer, texts, **arguments, template=request.template)
    if network.module.kind == "decoder":
        written = continue_text(network, tokenizer, texts, **arguments)
        return [text + more for text, more in zip(texts, written, strict=True)]
    translates = (
        request.template is not None and request.template.source_tokenizer is not None
    )  # where a blank means nothing
    has_blank = [bool(blanks(text)) and not translates for text in texts]
    with_blanks = [text for text, has in zip(texts, has_blank, strict=True) if has]
    without = [text for text, has in zip(texts, has_blank, strict=True) if not has]
    # Without blanks the tokenizer need have no sentinels.
    filled = iter(fill_sentinels(network, tokenizer, with_blanks, **arguments) if with_blanks else [])
    rewritten = iter(rewrite_text(network, tokenizer, without, **arguments, template=request.template))
    return [next(filled).text if has else next(rewritten) for has in has_blank]


def _mask_lines(network: Bound, tokenizer: Tokenizer, text: str, request: Request) -> str:
    lines = []
    masks = fill_mask(network, tokenizer, text, request.top_k or CANDIDATES)
    for number, candidates in enumerate(masks, start=1):
        for rank, candidate in enumerate(candidates):
            label = "" if rank else f"mask {number}"
            lines.append(f"{label:8} {candidate.probability:7.2%}  {candidate.token.strip()}")
    return "\n".join(lines)
