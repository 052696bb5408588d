"""The tokenizer's files in the form that AutoTokenizer of `transformers` reads, with the same ids."""

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken

from plmjax.data.tokenizers.base import METADATA_FILE, Tokenizer
from plmjax.data.tokenizers.fairseq import LANGUAGES_OF, FairseqTokenizer
from plmjax.data.tokenizers.folder import read_folder
from plmjax.data.tokenizers.sentencepiece import SentencePieceTokenizer
from plmjax.data.tokenizers.subword_nmt import SubwordNmtTokenizer
from plmjax.data.tokenizers.text_rules import TextRules
from plmjax.interop.sentencepiece_json import convert
from plmjax.interop.tokenizer_format import TokenizerFormat, is_byte_level, normalizer_settings

TOKENIZER_JSON = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_MAP = "special_tokens_map.json"
ENDLESS = 10**30  # what transformers writes for no limit
KNOWN_FILES = (
    *(TOKENIZER_JSON, METADATA_FILE, "vocab.txt", "vocab.json", "merges.txt", "vocab_40000.bpe", "bpe.codes"),
    "source.spm",
)
# Tokenizers that transformers has no tokenizer.json for: kind -> class, or None where the tokenizer knows it.
WITHOUT_JSON = {"marian": "MarianTokenizer", "bytes": "ByT5Tokenizer", "subword-nmt": None}


def has_tokenizer(directory: Path) -> bool:
    """Whether a directory has a tokenizer's files; ByT5's has none but the name of its class."""
    files = any((directory / name).is_file() for name in KNOWN_FILES) or any(directory.glob("*.model"))
    return files or read_folder(directory).class_name == "ByT5Tokenizer"


def save_tokenizer(tokenizer: Tokenizer, directory: Path, form: TokenizerFormat, longest: int | None) -> None:
    """Writes tokenizer.json, the files of the tokenizer's kind and the names of the special tokens.

    The kind's files are spiece.model, sentencepiece.bpe.model, vocab.txt, vocab.json with merges.txt, or Marian's
    three, beside which there is no tokenizer.json.

    Args:
        tokenizer: any of plmjax.data.
        directory: of the model.
        form: the family's special tokens around a text and classes.
        longest: number of positions, or None.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(directory)
    names = form.names(tokenizer)
    if tokenizer.kind in WITHOUT_JSON:
        name = tokenizer.class_name if isinstance(tokenizer, SubwordNmtTokenizer) else WITHOUT_JSON[tokenizer.kind]
        config = {"tokenizer_class": name, "model_max_length": longest or ENDLESS, **names}
        if tokenizer.kind == "bytes":
            config["extra_ids"] = len(tokenizer.vocabulary.sentinels)
        _write(directory / TOKENIZER_CONFIG, config)
        _write(directory / SPECIAL_MAP, names)
        return
    backend = _backend(tokenizer, directory)
    if backend.post_processor is None:
        backend.post_processor = form.around(tokenizer, backend)
    backend.save(str(directory / TOKENIZER_JSON))
    config = {
        "tokenizer_class": _class(tokenizer, backend, form),
        "model_max_length": longest or ENDLESS,
        **names,
        **form.settings,
        **normalizer_settings(tokenizer, backend),
    }
    if form.lists_additional:
        config.setdefault("additional_special_tokens", [])
    _write(directory / TOKENIZER_CONFIG, config)
    _write(directory / SPECIAL_MAP, names)


def _backend(tokenizer: Tokenizer, directory: Path) -> tokenizers.Tokenizer:
    """The tokenizer of the `tokenizers` library; its kind's own files are written beside those that are there."""
    if tokenizer.kind in ("sentencepiece", "fairseq"):
        (file,) = directory.glob("*.model")
        model = tokenizer.shifted_model() if isinstance(tokenizer, FairseqTokenizer) else file.read_bytes()
        rules = tokenizer.rules if isinstance(tokenizer, SentencePieceTokenizer) else TextRules()
        backend = convert(rules.on_model(model), tokenizer.special_names, rules.normalizer)
        words = sorted(tokenizer.added_words.items(), key=lambda item: item[1])
        backend.add_tokens([AddedToken(word, normalized=False) for word, _ in words])
        return backend
    backend = tokenizers.Tokenizer.from_file(str(directory / TOKENIZER_JSON))
    backend.model.save(str(directory))
    if tokenizer.vocabulary.mask is not None and is_byte_level(backend):  # the blank before it belongs to it
        mask = tokenizer.special_names[tokenizer.vocabulary.mask]
        backend.add_special_tokens([AddedToken(mask, lstrip=True, normalized=False, special=True)])
    # Its fingerprint is that of the tokenizer.json without special tokens around a text.
    (directory / METADATA_FILE).unlink()
    return backend


def _class(tokenizer: Tokenizer, backend: tokenizers.Tokenizer, form: TokenizerFormat) -> str:
    if isinstance(tokenizer, FairseqTokenizer):
        return next(name for name, languages in LANGUAGES_OF.items() if languages == tokenizer.languages)
    return form.class_of(tokenizer, backend)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
