"""A family's facts about its tokenizer's files: special tokens around texts, their roles, classes of transformers.

Roles are attributes of `plmjax.data.tokenizers.vocabulary.Vocabulary` ("cls", "cls_or_bos", "eos").
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tokenizers
from tokenizers import models, pre_tokenizers, processors

from plmjax.data.templates import Template, cls_sep_template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.sentencepiece import SentencePieceTokenizer
from plmjax.data.tokenizers.vocabulary import Vocabulary

FAST = "PreTrainedTokenizerFast"  # reads any tokenizer.json
# Accents and capitals are treated as the SentencePiece model itself does.
ACCENTS_AND_CASE = {"keep_accents": True, "do_lower_case": False}


@dataclass(frozen=True)
class TokenizerFormat:
    """The special tokens and classes of one family's tokenizers; by default nothing is around a text.

    Attributes:
        template: vocabulary -> the special tokens around texts; None: there are none, or the vocabulary lacks them.
        post_processor: (tokenizer, its backend) -> what puts special tokens around texts in the template's place, or
            None.
        roles: Hugging Face's role -> Vocabulary's, where they differ.
        sentencepiece, wordpiece, byte_level: the class for files of that kind.
        settings: further fields of tokenizer_config.json.
        lists_additional: whether tokenizer_config.json names the additional special tokens even where there are none.
    """

    template: Callable[[Vocabulary], Template | None] = field(default=lambda vocabulary: None)
    post_processor: Callable[[Tokenizer, tokenizers.Tokenizer], Any] = field(default=lambda tokenizer, backend: None)
    roles: Mapping[str, str] = field(default_factory=dict)
    sentencepiece: str = FAST
    wordpiece: str = FAST
    byte_level: str = FAST
    settings: Mapping[str, Any] = field(default_factory=dict)
    lists_additional: bool = False

    def class_of(self, tokenizer: Tokenizer, backend: tokenizers.Tokenizer) -> str:
        """The class of transformers whose files these are, or the one that reads any tokenizer.json."""
        if tokenizer.kind == "sentencepiece":
            return self.sentencepiece
        if isinstance(backend.model, models.WordPiece):
            return self.wordpiece
        return self.byte_level if is_byte_level(backend) else FAST

    def names(self, tokenizer: Tokenizer) -> dict[str, Any]:
        """The special tokens by Hugging Face's role, and the additional ones, the first first."""
        vocabulary = tokenizer.vocabulary
        roles = {name: self.roles.get(name, name) for name in ("pad", "bos", "eos", "cls", "sep", "mask", "unk")}
        ids = {name: getattr(vocabulary, role) for name, role in roles.items()}
        found: dict[str, Any] = {f"{n}_token": tokenizer.special_names[i] for n, i in ids.items() if i is not None}
        sentinels = [tokenizer.special_names[token] for token in vocabulary.sentinels]
        listed = [*sentinels, *(name for name in tokenizer.markers if name not in sentinels)]
        return found | ({"additional_special_tokens": listed} if listed else {})

    def around(self, tokenizer: Tokenizer, backend: tokenizers.Tokenizer) -> Any:
        """The post-processor of the `tokenizers` library that puts the special tokens around texts; None for none."""
        own = self.post_processor(tokenizer, backend)
        template, names = self.template(tokenizer.vocabulary), tokenizer.special_names
        if own is not None or template is None:
            return own
        used = dict.fromkeys((*template.prefix, *template.separator, *template.suffix))
        return processors.TemplateProcessing(
            single=_as_text(template, names, "$A"),
            pair=_as_text(template, names, "$A", "$B"),
            special_tokens=[(names[token], token) for token in used],
        )


def _as_text(template: Template, names: dict[int, str], *texts: str) -> str:
    """The template as `tokenizers` writes one: "[CLS]:0 $A:0 [SEP]:0"."""
    parts = template.parts(*([text] for text in texts))
    return " ".join(f"{names.get(token, token)}:{token_type}" for tokens, token_type in parts for token in tokens)


def cls_sep(token_types: str = "none") -> Callable[[Vocabulary], Template | None]:
    """[CLS] A [SEP] B [SEP], or <s> A </s> B </s>."""

    def make(v: Vocabulary) -> Template | None:
        return None if None in (v.cls_or_bos, v.sep_or_eos) else cls_sep_template(v, token_types=token_types)

    return make


def ended(v: Vocabulary) -> Template | None:
    """A </s> B </s>."""
    return None if v.eos is None else Template((), (v.eos,), (v.eos,))


def is_byte_level(backend: tokenizers.Tokenizer) -> bool:
    """Whether pieces are of bytes, as GPT-2's."""
    return isinstance(backend.model, models.BPE) and isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel)


def normalizer_settings(tokenizer: Tokenizer, backend: tokenizers.Tokenizer) -> dict[str, Any]:
    """The fields of tokenizer_config.json that tell how a tokenizer of this kind treats its text."""
    if tokenizer.kind == "fairseq":
        return {}
    if isinstance(tokenizer, SentencePieceTokenizer):
        rules = tokenizer.rules
        own = {"keep_accents": not rules.strip_accents, "do_lower_case": rules.lower_case} if rules.normalizer else {}
        return {"extra_ids": len(tokenizer.vocabulary.sentinels), **own}
    if is_byte_level(backend):
        return {"add_prefix_space": backend.pre_tokenizer.add_prefix_space}
    normalizer = json.loads(backend.to_str()).get("normalizer") or {}
    if normalizer.get("type") != "BertNormalizer":
        return {}
    return {
        "do_lower_case": normalizer["lowercase"],
        "strip_accents": normalizer["strip_accents"],
        "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
    }


BERT_FORMAT = TokenizerFormat(cls_sep("segments"), wordpiece="BertTokenizer")
ROBERTA_FORMAT = TokenizerFormat(cls_sep(), roles={"cls": "cls_or_bos", "sep": "sep_or_eos"})
