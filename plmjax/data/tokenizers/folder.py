"""What the files beside a tokenizer say of it: its class, its settings, its special and added tokens.

`transformers` writes tokenizer_config.json, special_tokens_map.json and added_tokens.json; where the first has
`added_tokens_decoder`, the others repeat it and are not read (transformers 4.57, tokenization_utils_base.py,
`PreTrainedTokenizerBase._from_pretrained`). The class is the one that tokenizer_config.json names, else config.json's
`tokenizer_class`, else that of its `model_type`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from plmjax.data.tokenizers.vocabulary import SPECIAL_NAMES
from plmjax.errors import UserError
from plmjax.json_files import read_object

CONFIG, SPECIAL_MAP, ADDED, MODEL_CONFIG = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "config.json",
)
# The usual names of each role, the first that exists wins.
ROLE_TOKENS = {
    "pad": ("[PAD]", "<pad>"),
    "bos": ("<s>", "[BOS]", "<|startoftext|>"),
    "eos": ("</s>", "[EOS]", "<|endoftext|>"),
    "cls": ("[CLS]", "<cls>"),
    "sep": ("[SEP]", "<sep>"),
    "mask": ("[MASK]", "<mask>"),
    "unk": ("[UNK]", "<unk>"),
}
SENTINEL = re.compile(r"<extra_id_(\d+)>")
UNUSED = re.compile(r"\[unused\d+\]|<unused\d+>")
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")  # of an added token
# The order in which transformers gives ids to special tokens that have none.
APPENDING_ORDER = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
CLASS_OF_MODEL = {
    "albert": "AlbertTokenizer",
    "bart": "BartTokenizer",
    "bert": "BertTokenizer",
    "ctrl": "CTRLTokenizer",
    "deberta": "DebertaTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "distilbert": "DistilBertTokenizer",
    "electra": "ElectraTokenizer",
    "gpt2": "GPT2Tokenizer",
    "gpt_neo": "GPT2Tokenizer",
    "marian": "MarianTokenizer",
    "mbart": "MBartTokenizer",
    "mt5": "T5Tokenizer",
    "openai-gpt": "OpenAIGPTTokenizer",
    "roberta": "RobertaTokenizer",
    "t5": "T5Tokenizer",
    "transfo-xl": "TransfoXLTokenizer",
    "umt5": "T5Tokenizer",
    "xlm": "XLMTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "xlnet": "XLNetTokenizer",
}


class UnreadTokenizerError(UserError):
    """A tokenizer that is whole, and that plmjax does not read as its class does."""


@dataclass(frozen=True)
class Folder:
    """What the files of a folder say.

    Attributes:
        directory: the folder.
        settings: tokenizer_config.json, and special_tokens_map.json over it.
        class_name: the tokenizer's class in `transformers`, without "Fast"; None where no file tells it.
        is_stated: whether a file names the class; else it is that of the model's type.
        has_config: whether there is a tokenizer_config.json.
        added: the added tokens by id.
    """

    directory: Path
    settings: Mapping[str, Any]
    class_name: str | None
    is_stated: bool
    has_config: bool
    added: Mapping[int, AddedToken]

    @cached_property
    def named(self) -> dict[str, str | None]:
        """The token of each role that the files name; None where they say that there is none."""
        keys = {name: f"{name}_token" for name in SPECIAL_NAMES}
        return {name: content_of(self.settings[key]) for name, key in keys.items() if key in self.settings}

    @cached_property
    def additional(self) -> tuple[str, ...]:
        """The special tokens without a role that the files list."""
        given = [self.settings.get(key) for key in ("additional_special_tokens", "extra_special_tokens")]
        listed = [list(one.values()) if isinstance(one, dict) else one for one in given if one]
        if not all(isinstance(one, list) for one in listed):
            raise UserError(f"The special tokens that {self.directory} adds are no list: correct its {CONFIG}.")
        return tuple(dict.fromkeys(name for one in listed for name in map(content_of, one) if name))

    def roles(self, vocabulary: Collection[str]) -> dict[str, str]:
        """The token of each role: as the files name it, else the first usual name that the vocabulary has.

        Where files name some roles and no class is known, the others have no token.
        """
        roles = {}
        for name in SPECIAL_NAMES:
            usual = ROLE_TOKENS[name] if self.class_name or not self.named else ()
            token = self.named.get(name)
            candidates = (token,) if token else () if name in self.named else usual
            if found := [candidate for candidate in candidates if candidate in vocabulary]:
                roles[name] = found[0]
        return roles

    def unplaced(self, vocabulary: Collection[str]) -> list[str]:
        """The special tokens that the files name and that neither the vocabulary nor the added tokens have."""
        known = {*vocabulary, *(token.content for token in self.added.values())}
        names = [*(self.named.get(role) for role in APPENDING_ORDER), *self.additional]
        return [name for name in dict.fromkeys(names) if name and name not in known]

    def markers(self, special: Collection[str]) -> tuple[str, ...]:
        """Those special tokens that a text names: without a role, a sentinel's number or BERT's "unused"."""
        roles = {*self.named.values(), *self.roles(special).values()}
        others = [token.content for _, token in sorted(self.added.items()) if token.special]
        unlisted = [name for name in others if not UNUSED.fullmatch(name)]
        found = dict.fromkeys((*self.additional, *unlisted))
        return tuple(name for name in found if name in special and name not in roles and not SENTINEL.fullmatch(name))


def read_folder(directory: Path) -> Folder:
    """Reads the files beside a tokenizer, of which any may be missing.

    Raises:
        UserError: one is no JSON object, or has a token or an id that is none.
    """
    config, model = read_json(directory / CONFIG), read_json(directory / MODEL_CONFIG)
    stated = config.get("tokenizer_class") or model.get("tokenizer_class")
    model_type = model.get("model_type")
    name = stated or (CLASS_OF_MODEL.get(model_type) if isinstance(model_type, str) else None)
    settings = config if "added_tokens_decoder" in config else config | read_json(directory / SPECIAL_MAP)
    return Folder(
        directory,
        settings,
        str(name).removesuffix("Fast") if name else None,
        bool(stated),
        (directory / CONFIG).is_file(),
        _added(directory, settings),
    )


def _added(directory: Path, settings: Mapping[str, Any]) -> dict[int, AddedToken]:
    try:
        decoder = settings.get("added_tokens_decoder")
        if decoder is not None:
            return {int(number): _token(token) for number, token in decoder.items()}
        listed = settings.get("additional_special_tokens") or ()
        special = {content_of(token) for token in (*listed, *(settings.get(f"{name}_token") for name in SPECIAL_NAMES))}
        ids = read_json(directory / ADDED)
        return {
            int(number): AddedToken(name, normalized=name not in special, special=name in special)
            for name, number in ids.items()
        }
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise UserError(
            f"The added tokens in {directory} can't be read ({error}): correct {CONFIG} or {ADDED}."
        ) from error


def _token(given: Any) -> AddedToken:
    if isinstance(given, str):
        return AddedToken(given)
    return AddedToken(given["content"], **{name: given[name] for name in FLAGS if name in given})


def content_of(token: Any) -> str | None:
    """The name of a token that a file writes as a string or as an object."""
    content = token.get("content") if isinstance(token, Mapping) else token
    return content if isinstance(content, str) and content else None


def tokens_behind(folder: Folder, pieces: Sequence[str], more: Sequence[str] = ()) -> tuple[list[str], dict[str, int]]:
    """The tokens that the files add behind a model's own pieces, and the ids of those that are words of a text.

    Args:
        folder: the files.
        pieces: the model's, by id.
        more: special tokens that the class has besides those that the files name.

    Raises:
        UnreadTokenizerError: a file gives a token another id than the model has it under.
    """
    ids = {piece: number for number, piece in enumerate(pieces)}
    behind: list[str] = []
    words = {}
    for number, token in sorted(folder.added.items()):
        there = ids.get(token.content, None if number >= len(pieces) else -1)
        if there not in (None, number):
            raise UnreadTokenizerError(
                f"The files in {folder.directory} give the token {token.content!r} the id {number}, which its model "
                "has otherwise: correct its added tokens."
            )
        if there is None:
            behind += [f"[gap {gap}]" for gap in range(len(pieces) + len(behind), number)]
            behind.append(token.content)
        if not token.special:
            words[token.content] = number
    known = {*pieces, *behind}
    behind += [name for name in dict.fromkeys((*folder.unplaced(known), *more)) if name not in known]
    return behind, words


def read_json(file: Path) -> dict[str, Any]:
    """The object in a file; an empty one where there is no file.

    Raises:
        UserError: it is not JSON, or no object.
    """
    return read_object(file) if file.is_file() else {}


def read_lines(file: Path, what: str) -> list[str]:
    """The lines of a text file, whose number is an id: only line feeds and carriage returns end one.

    U+2028 and its like are pieces of many vocabularies.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 at byte {error.start}: give {what}.") from error
    lines = re.split(r"\r\n|\n|\r", text)
    return lines[:-1] if not lines[-1] else lines
