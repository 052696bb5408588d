"""Opens tokenizers.

`load_tokenizer` reads what the field publishes, as the class that the files beside it name does, and what
`Tokenizer.save` wrote; `train_sentencepiece` trains a new one.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from plmjax.data.tokenizers import (
    bpe,
    byt5,
    fairseq,
    huggingface,
    marian,
    sentencepiece,
    subword_nmt,
    wordpiece,
    words,
)
from plmjax.data.tokenizers.base import METADATA_FILE, Tokenizer
from plmjax.data.tokenizers.folder import Folder, UnreadTokenizerError, read_folder, read_lines
from plmjax.errors import UserError

Reader = Callable[..., Tokenizer]  # (file, folder)


class ClassFiles(NamedTuple):
    """What reads the files of a class of `transformers` beside tokenizer.json."""

    pattern: str  # of their names
    reader: Reader
    names: str  # for a sentence


_WORDPIECE = ClassFiles(r"vocab\.txt", wordpiece.load, "vocab.txt")
_BYTES = ClassFiles(r"(vocab\.json|merges\.txt)", bpe.load_bytes, "vocab.json with merges.txt")
_SENTENCEPIECE = ClassFiles(r"(?!sentencepiece\.bpe\.).*\.model", sentencepiece.load, "its SentencePiece .model")
_FAIRSEQ = ClassFiles(r"sentencepiece\.bpe\.model", fairseq.load, "sentencepiece.bpe.model")
_FAIRSEQ_BPE = ClassFiles(r"(vocab\.txt|bpe\.codes)", subword_nmt.load_fairseq, "vocab.txt with bpe.codes")
CLASSES: Mapping[str, ClassFiles] = {
    **dict.fromkeys(huggingface.WORDPIECE_CLASSES, _WORDPIECE),
    **dict.fromkeys(
        ("BartTokenizer", "DebertaTokenizer", "GPT2Tokenizer", "LongformerTokenizer", "RobertaTokenizer"), _BYTES),
    **dict.fromkeys(
        ("AlbertTokenizer", "BertGenerationTokenizer", "DebertaV2Tokenizer", "LlamaTokenizer", "MT5Tokenizer",
         "T5Tokenizer", "XLNetTokenizer"), _SENTENCEPIECE),
    **dict.fromkeys(fairseq.LANGUAGES_OF, _FAIRSEQ),
    **dict.fromkeys(subword_nmt.FAIRSEQ_CLASSES, _FAIRSEQ_BPE),
    "CTRLTokenizer": ClassFiles(
        r"(vocab\.json|merges\.txt)", subword_nmt.load_ctrl, "vocab.json with merges.txt"),
    "MarianTokenizer": ClassFiles(
        r"(source|target)\.spm", marian.load, "source.spm, target.spm and vocab.json"),
    "OpenAIGPTTokenizer": ClassFiles(
        r"(vocab\.json|merges\.txt|encoder_bpe_40000\.json|vocab_40000\.bpe)", bpe.load_gpt1,
        "vocab.json with merges.txt"),
}  # fmt: skip
TOKENIZER_JSON = r"tokenizer\.json"


def load_tokenizer(path: str | Path, sentinels: int | None = None) -> Tokenizer:
    """Loads a tokenizer from a directory or from one of its files.

    plmjax's own is read first, then tokenizer.json, then the files of the class that tokenizer_config.json or
    config.json names (see folder.py), whose settings, special and added tokens count. Where no file tells the class, a
    tokenizer is known by its files: Marian's source.spm with target.spm and vocab.json; a SentencePiece model
    (*.model); vocab.json with merges.txt, of bytes, or by their pieces GPT-1's or CTRL's; encoder_bpe_40000.json with
    vocab_40000.bpe; vocab.txt. Special tokens that the files list without a role are markers, see
    `Tokenizer.with_markers`.

    Args:
        path: the directory or file.
        sentinels: sentinels to append above a SentencePiece model's pieces; None reads the number from the files
            beside it, and takes T5's 100 for a bare model that has T5's special ids (pad 0, eos 1, unk 2).

    Raises:
        UserError: the path does not exist, holds no tokenizer, or holds a damaged one.
        UnreadTokenizerError: the tokenizer's class, or a setting of it, is none that plmjax has.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"No tokenizer at {path}: give a directory or a file that exists.")
    directory = path if path.is_dir() else path.parent
    if directory.joinpath(METADATA_FILE).is_file():
        return _load_saved(directory)
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    folder = read_folder(directory)
    if folder.class_name == "ByT5Tokenizer":
        return byt5.load(directory, folder)
    for pattern, reader in _readers(folder, path):
        for file in candidates:
            if re.fullmatch(pattern, file.name):
                return reader(file, folder) if reader is not sentencepiece.load else reader(file, folder, sentinels)
    if folder.is_stated:
        names = CLASSES[folder.class_name].names if folder.class_name in CLASSES else "tokenizer.json"
        raise UnreadTokenizerError(
            f"{path} has no file of the tokenizer that its files name, {folder.class_name}: put {names} there."
        )
    raise UserError(
        f"No tokenizer in {path}: it needs tokenizer.json, a SentencePiece .model, vocab.txt, vocab.json with "
        "merges.txt, or encoder_bpe_40000.json with vocab_40000.bpe."
    )


def train_sentencepiece(texts: Iterable[str], directory: str | Path, **options) -> Tokenizer:
    """Trains SentencePiece on `texts` and saves it in `directory`: see `sentencepiece.train` for the options."""
    tokenizer = sentencepiece.train(texts, **options)
    tokenizer.save(directory)
    return tokenizer


def _readers(folder: Folder, path: Path) -> list[tuple[str, Reader]]:
    """Patterns of files' names and what reads them, in the order in which they count."""
    name = folder.class_name
    known = [(TOKENIZER_JSON, huggingface.load_json)]
    if folder.is_stated or name in UNREAD:
        unread = ClassFiles(r".*(vocab|merges|\.model|\.spm|\.codes).*", _refuse, "tokenizer.json")
        pattern, reader, _ = CLASSES.get(name or "", unread)
        return [*known, (pattern if path.is_dir() else ".*", reader)]
    of_class = [CLASSES[name][:2]] if name in CLASSES else []
    bare: list[tuple[str, Reader]] = [
        (r"(source|target)\.spm", marian.load),
        _FAIRSEQ[:2],
        (r".*\.model", sentencepiece.load),
        (r"(vocab\.json|merges\.txt)", _load_bpe),
        (r"(encoder_bpe_40000\.json|vocab_40000\.bpe)", bpe.load_gpt1),
        (r"bpe\.codes", _refuse),
        _WORDPIECE[:2],
        (r".*\.txt", wordpiece.load),
        (r".*\.json", huggingface.load_json),
    ]
    return [*known, *of_class, *bare]


UNREAD = ("TransfoXLTokenizer", "XLMTokenizer")  # classes of model types whose files have others' names


def _refuse(file: Path, folder: Folder) -> Tokenizer:
    kind = f"the class {folder.class_name}" if folder.class_name else f"a class that no file names, with {file.name}"
    raise UnreadTokenizerError(
        f"{file.parent} has a tokenizer of {kind}, which plmjax does not read: give its tokenizer.json, or another "
        "tokenizer."
    )


def _load_bpe(file: Path, folder: Folder) -> Tokenizer:
    """Loads vocab.json and merges.txt of no stated class: the pieces tell whose they are."""
    merges = file.parent / bpe.MERGES
    lines = read_lines(merges, "a list of merges, a pair a line") if merges.is_file() else []
    if not any(line.endswith(bpe.END_OF_WORD) for line in lines):
        return bpe.load_bytes(file, folder)
    pieces = (file.parent / bpe.VOCABULARY).read_text(encoding="utf-8", errors="replace")
    return (subword_nmt.load_ctrl if f'{subword_nmt.GOES_ON}"' in pieces else bpe.load_gpt1)(file, folder)


def _load_saved(directory: Path) -> Tokenizer:
    try:
        metadata = json.loads((directory / METADATA_FILE).read_text())
        saved = {
            "sentencepiece": sentencepiece,
            "huggingface": huggingface,
            "words": words,
            "fairseq": fairseq,
            "marian": marian,
            "subword-nmt": subword_nmt,
            "bytes": byt5,
        }[metadata["kind"]]
    except (json.JSONDecodeError, KeyError) as error:
        raise UserError(f"The tokenizer in {directory} is damaged: {METADATA_FILE} can't be read ({error}).") from error
    tokenizer = saved.load_saved(directory, metadata).with_markers(metadata.get("markers", ()))
    if tokenizer.fingerprint != metadata["fingerprint"]:
        raise UserError(
            f"The tokenizer in {directory} is damaged: its files do not match the fingerprint in {METADATA_FILE}."
        )
    return tokenizer
