"""The special tokens around a text that an encoder-decoder reads, by family, and what its decoder begins with.

T5: `text </s>`, from padding. Marian: `text </s>`, from padding, `>>de<< text </s>` where it writes several languages.
BART: `<s> text </s>`, from </s>. mBART: `text </s> en_XX`, from the language that is to be written (Liu et al. 2020,
Sec. 2.2). mBART-50: `en_XX text </s>`, from </s>, then the language (Tang et al. 2020). A BART under a new encoder
reads as BART does, in the source's own tokens (Lewis et al. 2019, Sec. 3.4).
"""

from dataclasses import replace
from typing import NoReturn

from plmjax.data.languages import token_names
from plmjax.data.templates import Seq2SeqTemplate, Template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.fairseq import ML50
from plmjax.errors import UserError
from plmjax.interop.family import TemplateSource


def t5_source(checkpoint: TemplateSource, source: str | None, target: str | None) -> Seq2SeqTemplate:
    """`text </s>`; UserError for a language."""
    _refuse_languages(checkpoint, source, target)
    return _ended(checkpoint)


def bart_source(checkpoint: TemplateSource, source: str | None, target: str | None) -> Seq2SeqTemplate:
    """`<s> text </s>`; UserError for a language."""
    _refuse_languages(checkpoint, source, target)
    return _ended(checkpoint, (_opening(checkpoint),))


def marian_source(checkpoint: TemplateSource, source: str | None, target: str | None) -> Seq2SeqTemplate:
    """`text </s>`, after the target's token where one is given; UserError for a source language."""
    _refuse_languages(checkpoint, source, None)
    return _ended(checkpoint, () if target is None else (language_token(_tokenizer(checkpoint), target),))


def mbart_source(checkpoint: TemplateSource, source: str | None, target: str | None) -> Seq2SeqTemplate:
    """`text </s> en_XX`, or mBART-50's `en_XX text </s>`; UserError where a language is missing."""
    tokenizer = _tokenizer(checkpoint)
    if not source or not target:
        raise UserError(
            "An mBART needs the languages of the text and of what it is to write: give --source_language and "
            f"--target_language, such as {_some(tokenizer)}."
        )
    plain = _ended(checkpoint)
    from_id, to_id = language_token(tokenizer, source), language_token(tokenizer, target)
    if ML50[-1] in tokenizer.special_names.values():
        return Seq2SeqTemplate(Template((from_id,), (), plain.source.suffix), plain.decoder_start_token_id, to_id)
    return Seq2SeqTemplate(Template((), (), (*plain.source.suffix, from_id)), to_id)


def translation_source(checkpoint: TemplateSource, source: str | None, target: str | None) -> Seq2SeqTemplate:
    """A new encoder's own tokens; UserError where its tokenizer is missing, or for a language."""
    _refuse_languages(checkpoint, source, target)
    plain, reads = _ended(checkpoint), source_tokenizer_of(checkpoint)
    (ending,) = plain.source.suffix
    return plain._replace(source=new_encoder_template(reads), eos_token_id=ending, source_tokenizer=reads)


def t5_target(checkpoint: TemplateSource, template: Seq2SeqTemplate) -> tuple[int | None, tuple[int, ...]]:
    """`text </s>`."""
    end = template.eos_token_id
    return template.forced_bos_token_id, template.source.suffix[:1] if end is None else (end,)


def bart_target(checkpoint: TemplateSource, template: Seq2SeqTemplate) -> tuple[int | None, tuple[int, ...]]:
    """`<s> text </s>`, as its encoder reads."""
    return _opening(checkpoint), t5_target(checkpoint, template)[1]


def mbart_target(checkpoint: TemplateSource, template: Seq2SeqTemplate) -> tuple[int | None, tuple[int, ...]]:
    """`text </s> de_DE`, of which the decoder reads the language first; mBART-50's `de_DE text </s>`."""
    first, last = t5_target(checkpoint, template)
    return (first, last) if first is not None else (None, (*last, template.decoder_start_token_id))


def t5_pair(checkpoint: TemplateSource, language: str) -> tuple[Template, int]:
    """`A </s> B </s>`."""
    ending = _special(checkpoint, "eos_token_id")
    return Template((), (ending,), (ending,), class_last=True), _special(checkpoint, "decoder_start_token_id")


def bart_pair(checkpoint: TemplateSource, language: str) -> tuple[Template, int]:
    """`<s> A </s> </s> B </s>`."""
    template, start = t5_pair(checkpoint, language)
    prefix = (_special(checkpoint, "bos_token_id"),)
    return replace(template, prefix=prefix, separator=template.separator * 2), start


def mbart_pair(checkpoint: TemplateSource, language: str) -> tuple[Template, int]:
    """`A </s> B </s> en_XX` and its decoder's first token, en_XX; mBART-50's `en_XX A </s> B </s>` and </s>."""
    if not language:
        raise UserError(
            "An mBART needs the language of its texts: give --config.seq2seq.source_language, such as en_XX."
        )
    found = mbart_source(checkpoint, language, language)
    ending, *after = found.source.suffix
    template = replace(found.source, separator=(ending,), class_last=True, after_class=len(after))
    return template, found.decoder_start_token_id


def no_pair(checkpoint: TemplateSource, language: str) -> NoReturn:
    """UserError: the network has no heads to fine-tune."""
    raise UserError(f"{checkpoint.architecture} has no heads to fine-tune: use another network, or a task of writing.")


def source_tokenizer_of(checkpoint: TemplateSource) -> Tokenizer:
    """The tokenizer of what a BART under a new encoder reads; UserError where it is not there."""
    if checkpoint.source_tokenizer is None:
        raise UserError(
            "The checkpoint has no tokenizer of the texts that it reads: put the folder source_tokenizer of the run "
            "that trained it beside its checkpoints."
        )
    return checkpoint.source_tokenizer


def new_encoder_template(tokenizer: Tokenizer) -> Template:
    """The template of a new encoder's texts: bos, where the vocabulary has it, and eos; or cls and sep.

    Raises:
        UserError: the vocabulary has nothing that ends a text.
    """
    v = tokenizer.vocabulary
    first, last = (v.cls, v.sep) if v.eos is None else (v.bos, v.eos)
    if last is None:
        raise UserError(
            f"The source's tokenizer, {tokenizer.name}, has no token to end a text with: it needs eos or sep."
        )
    return Template(() if first is None else (first,), (), (last,))


def language_token(tokenizer: Tokenizer, language: str) -> int:
    """The id of a language's token, "de_DE", "<de>", "[de]" or ">>de<<", whose name may be given without its marks.

    Raises:
        UserError: the tokenizer has no such token.
    """
    ids = {name: token for token, name in tokenizer.special_names.items()}
    for name in token_names(language):
        if name in ids:
            return ids[name]
    raise UserError(f"The tokenizer has no token of the language {language!r}: it has {_some(tokenizer)}.")


def _ended(checkpoint: TemplateSource, before: tuple[int, ...] = ()) -> Seq2SeqTemplate:
    """The text between `before` and the end of a text."""
    vocabulary, special = _tokenizer(checkpoint).vocabulary, checkpoint.special
    vocabulary.require("eos")
    ending = special.get("eos_token_id", vocabulary.eos)
    start = special.get("decoder_start_token_id", vocabulary.padding)
    return Seq2SeqTemplate(Template(before, (), (ending,)), start, checkpoint.generation.get("forced_bos_token_id"))


def _opening(checkpoint: TemplateSource) -> int:
    return checkpoint.special.get("bos_token_id", _tokenizer(checkpoint).vocabulary.cls_or_bos)


def _special(checkpoint: TemplateSource, name: str) -> int:
    if name not in checkpoint.special:
        raise UserError(f"The checkpoint does not say its {name}: take one whose tokenizer or config.json has it.")
    return checkpoint.special[name]


def _tokenizer(checkpoint: TemplateSource) -> Tokenizer:
    if checkpoint.tokenizer is None:
        raise UserError("The checkpoint has no tokenizer: put its tokenizer's files into the checkpoint's directory.")
    return checkpoint.tokenizer


def _refuse_languages(checkpoint: TemplateSource, source: str | None, target: str | None) -> None:
    if source is not None or target is not None:
        raise UserError(f"{checkpoint.architecture} has no tokens of languages: leave out the language.")


def _some(tokenizer: Tokenizer) -> str:
    roles = ("pad", "bos", "eos", "cls", "sep", "mask", "unk")
    known = {getattr(tokenizer.vocabulary, role) for role in roles} | set(tokenizer.vocabulary.sentinels)
    names = [name for token, name in sorted(tokenizer.special_names.items()) if token not in known]
    return ", ".join(names[:60]) or "none"
