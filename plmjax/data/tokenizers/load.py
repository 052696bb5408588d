"""Opens tokenizers.

`load_tokenizer` reads what the field publishes (SentencePiece models, BERT's vocab.txt, GPT-2's vocab.json with
merges.txt, GPT-1's encoder_bpe_40000.json with vocab_40000.bpe, tokenizer.json) and what `Tokenizer.save` wrote;
`train_sentencepiece` trains a new one.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from plmjax.data.tokenizers import fairseq, huggingface, marian, sentencepiece, words
from plmjax.data.tokenizers.base import METADATA_FILE, Tokenizer
from plmjax.errors import UserError


def load_tokenizer(path: str | Path, sentinels: int | None = None) -> Tokenizer:
    """Loads a tokenizer from a directory or from one of its files.

    Read, in this order, from a directory: plmjax's own tokenizer; tokenizer.json; Marian's source.spm with target.spm
    and vocab.json; fairseq's sentencepiece.bpe.model (XLM-RoBERTa, mBART); a SentencePiece model (*.model);
    vocab.json with merges.txt; encoder_bpe_40000.json with vocab_40000.bpe; vocab.txt. Names of special tokens come
    from special_tokens_map.json and tokenizer_config.json beside it, else from the usual names.

    Args:
        path: the directory or file.
        sentinels: sentinels to append above a SentencePiece model's pieces; None reads the number from the files
            beside it, and takes T5's 100 for a bare model that has T5's special ids (pad 0, eos 1, unk 2).

    Raises:
        UserError: the path does not exist, holds no tokenizer, or holds a damaged one.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"No tokenizer at {path}: give a directory or a file that exists.")
    if (path if path.is_dir() else path.parent).joinpath(METADATA_FILE).is_file():
        return _load_saved(path if path.is_dir() else path.parent)
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    for pattern, loader in _readers(sentinels):
        for file in candidates:
            if re.fullmatch(pattern, file.name):
                return loader(file)
    raise UserError(
        f"No tokenizer in {path}: it needs tokenizer.json, a SentencePiece .model, vocab.txt, vocab.json with "
        "merges.txt, or encoder_bpe_40000.json with vocab_40000.bpe."
    )


def train_sentencepiece(texts: Iterable[str], directory: str | Path, **options) -> Tokenizer:
    """Trains SentencePiece on `texts` and saves it in `directory`: see `sentencepiece.train` for the options."""
    tokenizer = sentencepiece.train(texts, **options)
    tokenizer.save(directory)
    return tokenizer


def _readers(sentinels: int | None) -> list[tuple[str, Callable[[Path], Tokenizer]]]:
    return [
        (r"tokenizer\.json", huggingface.load_json),
        (r"(source|target)\.spm", marian.load),
        (r"sentencepiece\.bpe\.model", fairseq.load),
        (r".*\.model", lambda file: sentencepiece.load(file, sentinels)),
        (r"(vocab\.json|merges\.txt)", huggingface.load_gpt2),
        (r"(encoder_bpe_40000\.json|vocab_40000\.bpe)", huggingface.load_gpt1),
        (r"(.*vocab.*|.*)\.txt", huggingface.load_wordpiece),
        (r".*\.json", huggingface.load_json),
    ]


def _load_saved(directory: Path) -> Tokenizer:
    try:
        metadata = json.loads((directory / METADATA_FILE).read_text())
        saved = {
            "sentencepiece": sentencepiece,
            "huggingface": huggingface,
            "words": words,
            "fairseq": fairseq,
            "marian": marian,
        }[metadata["kind"]]
    except (json.JSONDecodeError, KeyError) as error:
        raise UserError(f"The tokenizer in {directory} is damaged: {METADATA_FILE} can't be read ({error}).") from error
    tokenizer = saved.load_saved(directory, metadata)
    if tokenizer.fingerprint != metadata["fingerprint"]:
        raise UserError(
            f"The tokenizer in {directory} is damaged: its files do not match the fingerprint in {METADATA_FILE}."
        )
    return tokenizer
