"""Masks filled and texts generated, on plain strings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plmjax.data.templates import Seq2SeqTemplate
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.decode.config import GenerationConfig
from plmjax.decode.fill import fill_mask as fill_masks
from plmjax.decode.fill import fill_sentinels
from plmjax.decode.text import generate_text, stream_text
from plmjax.errors import UserError
from plmjax.interop import Pretrained
from plmjax.interop.source_templates import delimited_template, source_template
from plmjax.pipelines.predict import as_list, like
from plmjax.pipelines.task_metadata import abilities, require_tokenizer, unsupported

FILL_NEW_TOKENS = 64  # for all blanks of a text


def fill_mask(pretrained: Pretrained, texts: str | Sequence[str], top_k: int, settings: Mapping[str, Any]) -> Any:
    """See `Model.fill_mask`."""
    if "fill_mask" not in abilities(pretrained):
        raise unsupported(pretrained, "fill masks")
    tokenizer, found = require_tokenizer(pretrained), as_list(texts)
    if pretrained.module.kind == "encoder":
        if settings:
            raise UserError(f"An encoder fills masks without {next(iter(settings))}: leave it out.")
        return like(texts, [fill_masks(pretrained.bound, tokenizer, text, top_k) for text in found])
    asked = {"max_new_tokens": FILL_NEW_TOKENS} | dict(settings)
    config = generation_config(pretrained, found, None, None, asked)
    return like(texts, unwrapped(fill_sentinels(pretrained.bound, tokenizer, found, config)))


def generate(
    pretrained: Pretrained,
    texts: str | Sequence[str],
    source: str | None,
    target: str | None,
    given: GenerationConfig | None,
    settings: Mapping[str, Any],
) -> Any:
    """See `Model.generate`."""
    tokenizer, decoder = tokenizer_of_writer(pretrained), pretrained.module.kind == "decoder"
    found, template = as_list(texts, may_be_empty=decoder), template_of(pretrained, source, target)
    config = generation_config(pretrained, found, template, given, settings)
    return like(texts, unwrapped(generate_text(pretrained.bound, tokenizer, found, config, template)))


def stream(pretrained: Pretrained, text: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """See `Model.stream`."""
    tokenizer, found = tokenizer_of_writer(pretrained), as_list(text, may_be_empty=True)
    if pretrained.module.kind != "decoder" or template_of(pretrained) is not None:
        raise UserError(
            f"This {pretrained.architecture} can't stream its text: only a decoder that continues a text does."
        )
    return stream_text(pretrained.bound, tokenizer, text, generation_config(pretrained, found, None, None, settings))


def tokenizer_of_writer(pretrained: Pretrained) -> Tokenizer:
    """The tokenizer; UserError for a checkpoint that generates no text, or has none."""
    if not pretrained.generates:
        raise unsupported(pretrained, "generate text")
    return require_tokenizer(pretrained)


def template_of(pretrained: Pretrained, source: str | None = None, target: str | None = None) -> Seq2SeqTemplate | None:
    """The special tokens of a text that is rewritten; None for a decoder that continues texts.

    Raises:
        UserError: the languages are missing, unknown or not needed.
    """
    if pretrained.module.kind == "encoder_decoder":
        return source_template(pretrained, source, target)
    if source or target:
        raise UserError(f"{pretrained.architecture} does not translate: leave out the language.")
    return delimited_template(pretrained)


def generation_config(
    pretrained: Pretrained,
    texts: Sequence[str],
    template: Seq2SeqTemplate | None,
    given: GenerationConfig | None,
    settings: Mapping[str, Any],
) -> GenerationConfig:
    """The settings for these texts: what is asked for, else the template's ids, else the checkpoint's settings."""
    ids: dict[str, Any] = {}
    if template is not None:
        names = ("decoder_start_token_id", "forced_bos_token_id", "eos_token_id")
        ids = {name: value for name in names if (value := getattr(template, name)) is not None}
        if pretrained.module.kind == "decoder":  # which reads the delimiter at the end of its prompt
            ids = {"eos_token_id": template.eos_token_id}
    prompt = 0  # of an encoder-decoder no length counts the source
    if pretrained.module.kind == "decoder":
        prompt = max(map(len, require_tokenizer(pretrained).encode_batch(list(texts))))
    return pretrained.generation_config(prompt, given, ids | dict(settings))


def unwrapped(found: Sequence[list[Any]]) -> list[Any]:
    """The one result of each text, or its list where there are several."""
    return [one[0] if len(one) == 1 else one for one in found]
