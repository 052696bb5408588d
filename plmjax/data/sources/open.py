"""Where text comes from: files, TFDS data sets and the built-in corpus, all as documents of paragraphs.

A source is named by one string:

    path or glob            .txt, .jsonl, .jsonl.gz, .parquet; "**" spans folders, {a,b} alternatives
    tfds:NAME[/CONFIG][:SPLIT][?FEATURE]    a TensorFlow data set, read without TensorFlow; split train by default
    builtin                 the documentation prose of installed Python packages
    LANGUAGE=any of these   text of a language: en=PATH, hi=PATH
    LANGUAGE-LANGUAGE=FILE,FILE     translations, a sentence a line in both; or one file of tab-separated columns
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from plmjax.data import languages
from plmjax.data.sources import builtin, files, tfds, translations
from plmjax.data.sources.base import DOCUMENTS, Document, ReadOptions, Source, matching_files
from plmjax.errors import UserError


def open_sources(names: Sequence[str], options: ReadOptions | None = None) -> list[Source]:
    """The sources that `names` stand for, files in the order of their paths.

    Raises:
        UserError: nothing is named, no file matches, or a file's suffix is unknown.
    """
    options = options or ReadOptions()
    if options.documents not in DOCUMENTS:
        raise UserError(f"documents is {options.documents!r}: give one of {', '.join(DOCUMENTS)}.")
    if not names:
        raise UserError("No source is named: give files, tfds:NAME or builtin.")
    sources: list[Source] = []
    seen: set[Path] = set()
    for full_name in names:
        spoken, name = languages.parse(full_name)
        opened: list[Source]
        if len(spoken) == 2:
            opened = [translations.open_translations(name, options)]
        elif name == "builtin":
            opened = [builtin.BuiltinSource()]
        elif name.startswith("tfds:"):
            opened = [tfds.TfdsSource(name, options)]
        else:
            paths = matching_files(name)
            if again := [path for path in paths if path.resolve() in seen]:
                raise UserError(f"The sources name {again[0]} twice: name each file once.")
            seen |= {path.resolve() for path in paths}
            opened = [files.open_file(path, options) for path in paths]
        for source in opened:
            source.languages = spoken
            for field in ("phrases_field", "code_field"):
                if getattr(options, field) and not isinstance(source, files.JsonLinesFile):
                    raise UserError(
                        f"{field} is {getattr(options, field)!r}, but {full_name!r} is not a .jsonl file, and only "
                        f".jsonl files have such fields: leave {field} out."
                    )
        sources += opened
    return sources


def read_documents(sources: Sequence[Source]) -> Iterator[Document]:
    """The documents of several sources, one after the other.

    Raises:
        UserError: a source holds no text at all, or can't be read.
    """
    for source in sources:
        empty = True
        for document in source.documents():
            empty = False
            yield document._replace(languages=source.languages)
        if empty:
            name = source.describe()["name"]
            raise UserError(f"{name} holds no text: leave it out, or put text into it.")
