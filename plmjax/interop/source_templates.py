"""The special tokens around a text that an encoder-decoder rewrites, and what its decoder begins with.

T5: `text </s>`, from padding. Marian: `text </s>`, from padding, `>>de<< text </s>` where it writes several languages.
BART: `<s> text </s>`, from </s>. mBART: `text </s> en_XX`, from the language that is to be written (Liu et al. 2020,
Sec. 2.2). mBART-50: `en_XX text </s>`, from </s>, then the language (Tang et al. 2020). A BART under a new encoder
reads as BART does, in the source's own tokens (Lewis et al. 2019, Sec. 3.4).
"""

from plmjax.data.languages import token_names
from plmjax.data.templates import Seq2SeqTemplate, Template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.fairseq import ML50
from plmjax.errors import UserError
from plmjax.interop.pretrained import Pretrained
from plmjax.modules.bart_translation import BartTranslationConfig

DELIMITER = "delimiter_token_id"  # the field of a checkpoint's extras


def source_template(pretrained: Pretrained, source: str | None = None, target: str | None = None) -> Seq2SeqTemplate:
    """The template of a checkpoint.

    Args:
        pretrained: an encoder-decoder with a tokenizer.
        source, target: the languages of the text and of what is to be written ("en_XX", "en"); mBART needs both, a
            Marian with several targets the second; others take neither.

    Raises:
        UserError: a language is missing, unknown or of no use, the tokenizer has no EOS, or the source's is not there.
    """
    tokenizer = pretrained.tokenizer
    if tokenizer is None:
        raise UserError("The checkpoint has no tokenizer: put its tokenizer's files into the checkpoint's directory.")
    vocabulary, kind = tokenizer.vocabulary, pretrained.family.model_type
    vocabulary.require("eos")
    ending = pretrained.special.get("eos_token_id", vocabulary.eos)
    start = pretrained.special.get("decoder_start_token_id", vocabulary.padding)
    first = pretrained.generation.get("forced_bos_token_id")
    if kind == "mbart":
        if not source or not target:
            raise UserError(
                "An mBART needs the languages of the text and of what it is to write: give --source_language and "
                f"--target_language, such as {_some(tokenizer)}."
            )
        from_id, to_id = language_token(tokenizer, source), language_token(tokenizer, target)
        if ML50[-1] in tokenizer.special_names.values():
            return Seq2SeqTemplate(Template((from_id,), (), (ending,)), start, to_id)
        return Seq2SeqTemplate(Template((), (), (ending, from_id)), to_id)
    if source is not None or (target is not None and kind != "marian"):
        raise UserError(f"{pretrained.architecture} has no tokens of languages: leave out the language.")
    first_token = None if target is None else language_token(tokenizer, target)
    if kind == "bart":
        first_token = pretrained.special.get("bos_token_id", vocabulary.cls_or_bos)
    prefix = () if first_token is None else (first_token,)
    if isinstance(pretrained.config, BartTranslationConfig):
        reads = source_tokenizer_of(pretrained)
        return Seq2SeqTemplate(new_encoder_template(reads), start, first, ending, reads)
    return Seq2SeqTemplate(Template(prefix, (), (ending,)), start, first)


def source_tokenizer_of(pretrained: Pretrained) -> Tokenizer:
    """That of what a BART under a new encoder reads; UserError where it is not there."""
    if pretrained.source_tokenizer is None:
        raise UserError(
            "The checkpoint has no tokenizer of the texts that it reads: put the folder source_tokenizer of the run "
            "that taught it beside its checkpoints."
        )
    return pretrained.source_tokenizer


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


def delimited_template(pretrained: Pretrained) -> Seq2SeqTemplate | None:
    """The template of a decoder that was fine-tuned to rewrite texts; None for one that continues them.

    Its checkpoint names the token that stands after the text that it reads and ends the one that it writes.
    """
    delimiter = pretrained.extras.get(DELIMITER)
    return (
        None if delimiter is None else Seq2SeqTemplate(Template(suffix=(delimiter,)), delimiter, eos_token_id=delimiter)
    )


def language_token(tokenizer: Tokenizer, language: str) -> int:
    """The id of a language's token, "de_DE", "<de>", "[de]" or ">>de<<", whose name may be given bare.

    Raises:
        UserError: the tokenizer has no such token.
    """
    ids = {name: token for token, name in tokenizer.special_names.items()}
    for name in token_names(language):
        if name in ids:
            return ids[name]
    raise UserError(f"The tokenizer has no token of the language {language!r}: it has {_some(tokenizer)}.")


def _some(tokenizer: Tokenizer) -> str:
    roles = ("pad", "bos", "eos", "cls", "sep", "mask", "unk")
    known = {getattr(tokenizer.vocabulary, role) for role in roles} | set(tokenizer.vocabulary.sentinels)
    names = [name for token, name in sorted(tokenizer.special_names.items()) if token not in known]
    return ", ".join(names[:60]) or "none"
