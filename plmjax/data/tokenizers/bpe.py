"""BPE of bytes (GPT-2, RoBERTa, BART, DeBERTa) and of lower-cased words (GPT-1), from a vocabulary and its merges."""

from pathlib import Path

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from plmjax.data.tokenizers.folder import Folder, read_json, read_lines
from plmjax.data.tokenizers.huggingface import FastTokenizer, filled, from_folder
from plmjax.errors import UserError

VOCABULARY, MERGES = "vocab.json", "merges.txt"
GPT1_FILES = ("encoder_bpe_40000.json", "vocab_40000.bpe")
END_OF_WORD = "</w>"


def load_bytes(file: Path, folder: Folder) -> FastTokenizer:
    """Loads GPT-2's or RoBERTa's vocab.json and merges.txt (byte-level BPE)."""
    model = _model(file.parent, VOCABULARY, MERGES)
    backend = tokenizers.Tokenizer(model)
    prefix = bool(folder.settings.get("add_prefix_space", False))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    backend.decoder = decoders.ByteLevel()
    vocabulary = backend.get_vocab()
    roles = folder.roles(vocabulary)
    backend.add_special_tokens(sorted(set(roles.values()), key=vocabulary.__getitem__))
    return from_folder(backend, folder, roles)


def load_gpt1(file: Path, folder: Folder) -> FastTokenizer:
    """Loads GPT-1's vocabulary and merges (lower-cased, words end in "</w>").

    OpenAI's files are encoder_bpe_40000.json and vocab_40000.bpe, Hugging Face's vocab.json and merges.txt.
    """
    names = (VOCABULARY, MERGES) if file.name in (VOCABULARY, MERGES) else GPT1_FILES
    model = _model(file.parent, *names, unk_token="<unk>", end_of_word_suffix=END_OF_WORD)
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.BPEDecoder(suffix=END_OF_WORD)
    backend.add_special_tokens(["<unk>"])
    return from_folder(backend, folder, {"unk": "<unk>"})


def read_merges(file: Path) -> list[tuple[str, str]]:
    """The pairs of a merges.txt, in its order."""
    lines = read_lines(file, "a list of merges, a pair a line")
    pairs = [tuple(line.split(" ")) for line in lines if not line.startswith("#version")]
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]


def _model(directory: Path, vocabulary_file: str, merges_file: str, **options) -> models.BPE:
    for name in (vocabulary_file, merges_file):
        if not (directory / name).is_file():
            raise UserError(
                f"The tokenizer in {directory} lacks {name}, which belongs with {vocabulary_file} and {merges_file}."
            )
    vocabulary = read_json(directory / vocabulary_file)
    try:
        size = max(vocabulary.values(), default=-1) + 1
        return models.BPE(vocab=filled(vocabulary, size), merges=read_merges(directory / merges_file), **options)
    except Exception as error:  # the binding raises bare Exception
        raise UserError(
            f"{vocabulary_file} and {merges_file} in {directory} do not fit each other ({error})."
        ) from error
