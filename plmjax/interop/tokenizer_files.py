"""The tokenizer's files in the form that AutoTokenizer of `transformers` reads, with the same ids."""

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, models, pre_tokenizers, processors

from plmjax.data.tokenizers.base import METADATA_FILE, Tokenizer
from plmjax.data.tokenizers.fairseq import LANGUAGES_OF, FairseqTokenizer

TOKENIZER_JSON = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_MAP = "special_tokens_map.json"
ENDLESS = 10**30  # what transformers writes for no limit
ENCODERS = ("albert", "bert", "roberta", "xlm-roberta", "xlm")
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
    if model_type == "xlnet":
        return _wrapping_at_the_end(names, vocabulary.cls, vocabulary.sep)
    opening, closing = vocabulary.cls_or_bos, vocabulary.sep_or_eos
    if model_type in CLOSED_BY_EOS:
        opening, closing = vocabulary.bos if model_type in OPENED_BY_BOS else None, vocabulary.eos
    if model_type == "xlm":
        opening, closing = vocabulary.eos, vocabulary.eos
    if model_type not in (*ENCODERS, *CLOSED_BY_EOS) or closing is None or (model_type in ENCODERS and opening is None):
        return None
    second = 1 if model_type in ("albert", "bert") else 0
    start = f"{names[opening]}:0 " if opening is not None else ""
    again = start if model_type == "xlm" else ""  # each side of translations has both
    used = {names[token]: token for token in (opening, closing) if token is not None}
    return processors.TemplateProcessing(
        single=f"{start}$A:0 {names[closing]}:0",
        pair=f"{start}$A:0 {names[closing]}:0 {again}$B:{second} {names[closing]}:{second}",
        special_tokens=list(used.items()),
    )


def _wrapping_at_the_end(names: dict[int, str], cls: int | None, sep: int | None) -> Any:
    """XLNet's A <sep> B <sep> <cls>, the last of a type of its own."""
    if cls is None or sep is None:
        return None
    first, last = f"$A:0 {names[sep]}:0", f"{names[cls]}:2"
    return processors.TemplateProcessing(
        single=f"{first} {last}",
        pair=f"{first} $B:1 {names[sep]}:1 {last}",
        special_tokens=[(names[sep], sep), (names[cls], cls)],
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
