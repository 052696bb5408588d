"""BERT's WordPiece from a vocab.txt, one piece a line."""

import logging
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from plmjax.data.tokenizers.folder import UNUSED, Folder, UnreadTokenizerError, read_lines
from plmjax.data.tokenizers.huggingface import FastTokenizer, filled, from_folder
from plmjax.errors import UserError

log = logging.getLogger(__name__)


def load(file: Path, folder: Folder) -> FastTokenizer:
    """Loads BERT's vocab.txt; a piece's id is the number of its line.

    Lower-cases as tokenizer_config.json says, else as the class does (BertTokenizer: yes), else when no piece has a
    capital letter.

    Raises:
        UserError: it is no such vocabulary.
        UnreadTokenizerError: the class is told to treat its text in a way that plmjax does not.
    """
    settings = folder.settings
    if settings.get("do_basic_tokenize") is False or settings.get("never_split"):
        raise UnreadTokenizerError(
            f"{folder.directory} has do_basic_tokenize or never_split in its tokenizer_config.json, which plmjax does "
            "not do: give its tokenizer.json."
        )
    lines = read_lines(file, "BERT's vocab.txt, one piece a line")
    vocabulary = {line: token for token, line in enumerate(lines)}
    roles = folder.roles(vocabulary)
    if "unk" not in roles:
        raise UserError(f"{file} is not a WordPiece vocabulary: it has no [UNK] line.")
    names = set(roles.values())
    cased = any(piece != piece.lower() for piece in vocabulary if piece not in names and not UNUSED.fullmatch(piece))
    lowercase = settings.get("do_lower_case")
    if lowercase is None:
        lowercase = True if folder.class_name else not cased
        if folder.class_name and cased:
            log.warning(
                "%s lower-cases its text, as %s does where tokenizer_config.json has no do_lower_case, though its "
                "vocabulary has capital letters.",
                folder.directory,
                folder.class_name,
            )
    backend = tokenizers.Tokenizer(
        models.WordPiece(
            filled(vocabulary, len(lines)),
            unk_token=roles["unk"],
            continuing_subword_prefix="##",
            max_input_chars_per_word=100,
        )
    )
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=bool(lowercase),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    backend.add_special_tokens(sorted(names, key=vocabulary.__getitem__))
    return from_folder(backend, folder, roles)
