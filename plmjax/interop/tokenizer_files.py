"""The tokenizer's files in the form that AutoTokenizer of `transformers` reads, with the same ids."""

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, models, pre_tokenizers, processors

from plmjax.data.templates import Template, cls_sep_template, xlnet_template
from plmjax.data.tokenizers.base import METADATA_FILE, Tokenizer
from plmjax.data.tokenizers.fairseq import LANGUAGES_OF, FairseqTokenizer
from plmjax.data.tokenizers.vocabulary import Vocabulary

TOKENIZER_JSON = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_MAP = "special_tokens_map.json"
ENDLESS = 10**30  # what transformers writes for no limit
ENCODERS = ("albert", "bert", "modernbert", "roberta", "xlm-roberta", "xlm")
BYTE_LEVEL_CLASSES = {"gpt2": "GPT2Tokenizer", "bart": "BartTokenizer"}
OPENED_BY_BOS = ("bart",)
CLOSED_BY_EOS = ("bart", "mbart", "marian", "t5")
# Accents and capitals as the SentencePiece model itself treats them; padding before XLNet's text, whose last token is
# the one that is classified.
ACCENTS_AND_CASE = {"keep_accents": True, "do_lower_case": False}
XLNET_SETTINGS = {"padding_side": "left"} | ACCENTS_AND_CASE
KNOWN_FILES = (TOKENIZER_JSON, METADATA_FILE, "vocab.txt", "merges.txt", "vocab_40000.bpe", "source.spm")


def has_tokenizer(directory: Path) -> bool:
    """Whether a directory has a tokenizer's files."""
    return any((directory / name).is_file() for name in KNOWN_FILES) or any(directory.glob("*.model"))


def save_tokenizer(tokenizer: Tokenizer, directory: Path, model_type: str, longest: int | None) -> None:
    """Writes tokenizer.json, the files of the tokenizer's kind and the names of the special tokens.

    The kind's files are spiece.model, sentencepiece.bpe.model, vocab.txt, vocab.json with merges.txt, or Marian's
    three, beside which there is no tokenizer.json.

    Args:
        tokenizer: any of plmjax.data.
        directory: of the model.
        model_type: Hugging Face's; encoders and T5 put special tokens round a text.
        longest: number of positions, or None.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(directory)
    names = _names(tokenizer, model_type)
    if tokenizer.kind == "marian":
        config = {"tokenizer_class": "MarianTokenizer", "model_max_length": longest or ENDLESS, **names}
        _write(directory / TOKENIZER_CONFIG, config)
        _write(directory / SPECIAL_MAP, names)
        return
    backend = _backend(tokenizer, directory)
    if backend.post_processor is None:
        backend.post_processor = _wrapping(tokenizer, backend, model_type)
    backend.save(str(directory / TOKENIZER_JSON))
    config = {
        "tokenizer_class": _class(tokenizer, backend, model_type),
        "model_max_length": longest or ENDLESS,
        **names,
    }
    config |= _extra_settings(tokenizer, backend)
    if model_type == "albert":
        config |= ACCENTS_AND_CASE
    if model_type == "xlnet":
        config |= XLNET_SETTINGS | {"additional_special_tokens": names.get("additional_special_tokens", [])}
    _write(directory / TOKENIZER_CONFIG, config)
    _write(directory / SPECIAL_MAP, names)


def _backend(tokenizer: Tokenizer, directory: Path) -> tokenizers.Tokenizer:
    """The tokenizer of the `tokenizers` library; its kind's own files are written beside those that are there."""
    if tokenizer.kind in ("sentencepiece", "fairseq"):
        from plmjax.interop.sentencepiece_json import convert

        (file,) = directory.glob("*.model")
        model = tokenizer.shifted_model() if isinstance(tokenizer, FairseqTokenizer) else file.read_bytes()
        return convert(model, tokenizer.special_names)
    backend = tokenizers.Tokenizer.from_file(str(directory / TOKENIZER_JSON))
    backend.model.save(str(directory))
    if tokenizer.vocabulary.mask is not None and _is_byte_level(backend):  # the blank before it belongs to it
        mask = tokenizer.special_names[tokenizer.vocabulary.mask]
        backend.add_special_tokens([AddedToken(mask, lstrip=True, normalized=False, special=True)])
    # Its fingerprint is that of the tokenizer.json without special tokens round a text.
    (directory / METADATA_FILE).unlink()
    return backend


def _class(tokenizer: Tokenizer, backend: tokenizers.Tokenizer, model_type: str) -> str:
    """The class whose files these are; the one that reads any tokenizer.json where there is none."""
    if isinstance(tokenizer, FairseqTokenizer):
        return next(name for name, languages in LANGUAGES_OF.items() if languages == tokenizer.languages)
    if tokenizer.kind == "sentencepiece":
        return {"albert": "AlbertTokenizer", "t5": "T5Tokenizer", "xlnet": "XLNetTokenizer"}.get(
            model_type, "PreTrainedTokenizerFast"
        )
    if isinstance(backend.model, models.WordPiece) and model_type == "bert":
        return "BertTokenizer"
    if _is_byte_level(backend) and model_type in BYTE_LEVEL_CLASSES:
        return BYTE_LEVEL_CLASSES[model_type]
    return "PreTrainedTokenizerFast"


def _is_byte_level(backend: tokenizers.Tokenizer) -> bool:
    return isinstance(backend.model, models.BPE) and isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel)


def _extra_settings(tokenizer: Tokenizer, backend: tokenizers.Tokenizer) -> dict[str, Any]:
    if isinstance(tokenizer, FairseqTokenizer):
        return {}
    if tokenizer.kind == "sentencepiece":
        return {"extra_ids": len(tokenizer.vocabulary.sentinels)}
    normalizer = json.loads(backend.to_str()).get("normalizer") or {}
    if normalizer.get("type") != "BertNormalizer":
        return {}
    return {
        "do_lower_case": normalizer["lowercase"],
        "strip_accents": normalizer["strip_accents"],
        "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
    }


def _names(tokenizer: Tokenizer, model_type: str) -> dict[str, Any]:
    """The special tokens by role, and the sentinels, the first first."""
    vocabulary = tokenizer.vocabulary
    ids = {name: getattr(vocabulary, name) for name in ("pad", "bos", "eos", "cls", "sep", "mask", "unk")}
    if model_type in ("roberta", "xlm-roberta", "bart"):
        ids |= {"cls": vocabulary.cls_or_bos, "sep": vocabulary.sep_or_eos}
    if model_type == "xlm":  # which has the end of a sentence on both its sides
        ids |= {"cls": vocabulary.eos, "sep": vocabulary.eos}
    names: dict[str, Any] = {f"{role}_token": tokenizer.special_names[i] for role, i in ids.items() if i is not None}
    sentinels = [tokenizer.special_names[token] for token in vocabulary.sentinels]
    return names | ({"additional_special_tokens": sentinels} if sentinels else {})


def _wrapping(tokenizer: Tokenizer, backend: tokenizers.Tokenizer, model_type: str) -> Any:
    """What goes round a text and a pair: BERT's [CLS] A [SEP] B [SEP], XLNet's A <sep> B <sep> <cls>, T5's
    A </s> B </s>, XLM's </s> A </s> </s> B </s>, BART's <s> A </s></s> B </s>, nothing for GPT."""
    vocabulary, names = tokenizer.vocabulary, tokenizer.special_names
    if model_type == "bart" and _is_byte_level(backend) and None not in (vocabulary.bos, vocabulary.eos):
        first, last = ((names[i], i) for i in (vocabulary.bos, vocabulary.eos) if i is not None)
        return processors.RobertaProcessing(last, first, add_prefix_space=False)
    template = _template(vocabulary, model_type)
    if template is None:
        return None
    used = dict.fromkeys((*template.prefix, *template.separator, *template.suffix))
    return processors.TemplateProcessing(
        single=_as_text(template, names, "$A"),
        pair=_as_text(template, names, "$A", "$B"),
        special_tokens=[(names[token], token) for token in used],
    )


def _template(vocabulary: Vocabulary, model_type: str) -> Template | None:
    """The template of a model's texts; None for a model without one, or a vocabulary that lacks its tokens."""
    v = vocabulary
    if model_type == "xlnet":
        return None if None in (v.cls, v.sep) else xlnet_template(v)
    if model_type in CLOSED_BY_EOS and v.eos is not None:
        prefix = (v.bos,) if model_type in OPENED_BY_BOS and v.bos is not None else ()
        return Template(prefix, (v.eos,), (v.eos,))
    if model_type == "xlm":  # each side of translations has both
        return None if v.eos is None else Template((v.eos,), (v.eos, v.eos), (v.eos,))
    if model_type in ENCODERS and None not in (v.cls_or_bos, v.sep_or_eos):
        return cls_sep_template(v, token_types="segments" if model_type in ("albert", "bert") else "none")
    return None


def _as_text(template: Template, names: dict[int, str], *texts: str) -> str:
    """The template as `tokenizers` writes one: "[CLS]:0 $A:0 [SEP]:0"."""
    parts = template.parts(*([text] for text in texts))
    return " ".join(f"{names.get(token, token)}:{token_type}" for tokens, token_type in parts for token in tokens)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
