"""The template of a checkpoint's texts: its family's, or a delimiter's of a decoder that was fine-tuned to rewrite."""

from plmjax.data.templates import Seq2SeqTemplate, Template
from plmjax.interop.pretrained import Pretrained
from plmjax.interop.templates import no_pair, t5_pair, t5_source, t5_target
from plmjax.modules.facts import num_labels_of

DELIMITER = "delimiter_token_id"  # the field of a checkpoint's extras


def source_template(pretrained: Pretrained, source: str | None = None, target: str | None = None) -> Seq2SeqTemplate:
    """The special tokens around a text that a checkpoint reads, and what its decoder begins with.

    Args:
        pretrained: an encoder-decoder with a tokenizer.
        source, target: the languages of the text and of what is to be written ("en_XX", "en"); mBART needs both, a
            Marian with several targets the second; others take neither.

    Raises:
        UserError: a language is missing, unknown or of no use, the tokenizer has no EOS, or the source's is not there.
    """
    return (pretrained.family.source_template or t5_source)(pretrained, source, target)


def target_tokens(pretrained: Pretrained, template: Seq2SeqTemplate) -> tuple[int | None, tuple[int, ...]]:
    """The token before a text that an encoder-decoder learns to write, None for none, and the tokens after it."""
    return (pretrained.family.target_template or t5_target)(pretrained, template)


def pair_template(pretrained: Pretrained, language: str) -> tuple[Template, int]:
    """The special tokens around what an encoder-decoder reads under heads, and its decoder's first token.

    Raises:
        UserError: the network has no heads, or a token or the language is missing.
    """
    make = pretrained.family.pair_template or t5_pair
    return (make if num_labels_of(pretrained.config) is not None else no_pair)(pretrained, language)


def delimited_template(pretrained: Pretrained) -> Seq2SeqTemplate | None:
    """The template of a decoder that was fine-tuned to rewrite texts; None for one that continues them.

    Its checkpoint names the token that stands after the text that it reads and ends the one that it writes.
    """
    delimiter = pretrained.extras.get(DELIMITER)
    return (
        None if delimiter is None else Seq2SeqTemplate(Template(suffix=(delimiter,)), delimiter, eos_token_id=delimiter)
    )
