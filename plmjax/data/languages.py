"""The languages that sources name: `en=texts.txt` is of one, `en-hi=FILE,FILE` holds translations of two."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from plmjax.errors import UserError

_LANGUAGE = r"[a-z]{2,3}(?:_[A-Za-z]+)?"
_NAMED = re.compile(rf"({_LANGUAGE})(?:-({_LANGUAGE}))?=(.+)", re.DOTALL)
NONE = -1  # of a document that is of one language: its second


class Named(NamedTuple):
    """A source's languages (none, one, or the two of translations) and what remains of its name."""

    languages: tuple[str, ...]
    source: str


class HasLanguages(Protocol):
    """A source."""

    languages: tuple[str, ...]


def parse(name: str) -> Named:
    """Takes a source's name apart. Raises UserError for translations into the same language."""
    match = _NAMED.fullmatch(name)
    if not match:
        return Named((), name)
    first, second, source = match.groups()
    if first == second:
        raise UserError(f"{name!r} names translations of {first} into itself: name two different languages.")
    return Named((first, second) if second else (first,), source)


def joined_pairs(names: Iterable[str]) -> list[str]:
    """`["en-hi=a.en", "a.hi"]` as one name: what follows translations and names no language is their second file."""
    found: list[str] = []
    open_pair = False
    for name in names:
        languages = parse(name).languages
        if open_pair and not languages:
            found[-1] += "," + name
            open_pair = False
        else:
            found.append(name)
            open_pair = len(languages) == 2
    return found


def languages_of(sources: Sequence[HasLanguages]) -> tuple[str, ...]:
    """The languages in the order of their first mention, () where no source names one.

    Raises:
        UserError: some sources name a language and others do not.
    """
    named = [bool(source.languages) for source in sources]
    if any(named) and not all(named):
        raise UserError(
            "Some sources name their language and others do not: write en=PATH, or en-hi=PATH for translations, "
            "before each of them."
        )
    return tuple(dict.fromkeys(language for source in sources for language in source.languages))


def document_ids(languages: tuple[str, ...], known: tuple[str, ...]) -> tuple[int, int]:
    """The row of `document_languages` of a document: ids in `known`, NONE for a second that it has not."""
    ids = [known.index(language) for language in languages]
    return (ids[0], ids[1]) if len(ids) == 2 else (ids[0], NONE)


def token_names(language: str) -> tuple[str, ...]:
    """The names that tokenizers give the token of a language: of one trained here, then of the released mBART and
    Marian."""
    return f"<{language}>", f"[{language}]", f">>{language}<<", language


def token_ids(languages: Sequence[str], specials: Mapping[int, str]) -> tuple[int, ...]:
    """The id of each language's token among a tokenizer's special tokens; () where one has none."""
    ids = {name: token for token, name in specials.items()}
    found = [next((ids[name] for name in token_names(language) if name in ids), None) for language in languages]
    return () if None in found else tuple(token for token in found if token is not None)


def smoothed(sizes: Sequence[float] | np.ndarray, alpha: float) -> np.ndarray:
    """float64 shares q_i = p_i^alpha / sum_j p_j^alpha with p_i = size_i / sum (Lample & Conneau 2019, Sec. 3.1).

    -1 stands for 0 as in the released code: every language alike. Where a size is 0 the share is 0.
    """
    sizes = np.asarray(sizes, np.float64)
    powers = np.where(sizes > 0, np.maximum(sizes, 1e-300) ** (0.0 if alpha == -1 else alpha), 0.0)
    return powers / powers.sum()
