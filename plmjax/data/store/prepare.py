"""From sources to a token store: train or load a tokenizer, encode in parallel, join; resumed where it was stopped."""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plmjax.data.languages import languages_of
from plmjax.data.progress import ProgressLine
from plmjax.data.sources.base import Document, ReadOptions, Source
from plmjax.data.sources.open import open_sources, read_documents
from plmjax.data.store import merge_shards, shards, workers
from plmjax.data.store.sentences import splitter
from plmjax.data.store.store import MANIFEST_FILE, SPLITS, TOKENIZER_DIRECTORY, Store
from plmjax.data.store.tokenizer_sample import sample
from plmjax.data.tokenizers import words
from plmjax.data.tokenizers.base import Tokenizer, check_extra_tokens
from plmjax.data.tokenizers.load import load_tokenizer, train_sentencepiece
from plmjax.errors import UserError
from plmjax.renames import upgraded
from plmjax.working_folder import STORE, full_disk_explained, locked, make_writable, require_own

PARTIAL_DIRECTORY = ".partial"
KEY_FILE = "key.json"
TRAIN = "train"  # as a tokenizer: train one
MADE = (TRAIN, *words.SPLITS)  # tokenizers that are made from the text


@dataclass(slots=True)
class PrepareOptions:
    """Options for making a token store. All but `workers` decide what it holds.

    Attributes:
        sources: files, globs, tfds:NAME or builtin, see `sources`.
        validation_sources: where the validation split comes from; empty: from `sources`, by a hash of each document.
        validation_fraction: the share of the documents that the hash puts aside.
        text_field, documents, tfds_data_dir: see `sources.ReadOptions`.
        pair_columns, phrases_field, code_field: see `sources.ReadOptions`.
        language: how sentences are split, see `sentences.splitter`; a language that a source names goes before it,
            unless this is "newline".
        tokenizer: "train" (pieces), "words" or "whitespace" (the lexicon of all the text, see `words`), or what
            `load_tokenizer` reads.
        vocab_size: pieces of a trained tokenizer, or the most frequent words that a softmax is to predict.
        extra_tokens: names of further special tokens of the tokenizer ("[R]", "[S]"), which objectives require by name.
        language_tokens: give each language that the sources name a token in a trained tokenizer.
        model_type, byte_fallback, specials, sentinels, normalization: of a trained tokenizer, see
            `sentencepieces.train`.
        tokenizer_characters: how much text to train the tokenizer on, documents chosen by their hash.
        workers: processes for more than a few tens of megabytes of text; 0 is one a CPU core.
    """

    sources: tuple[str, ...] = ("builtin",)
    validation_sources: tuple[str, ...] = ()
    validation_fraction: float = 0.05
    text_field: str = "text"
    documents: str = "files"
    tfds_data_dir: str | None = None
    pair_columns: str = "1,2"
    phrases_field: str = ""
    code_field: str = ""
    language: str = "en"
    tokenizer: str = TRAIN
    vocab_size: int = 8000
    model_type: str = "unigram"
    byte_fallback: bool = True
    specials: str = "all"
    sentinels: int | None = None
    extra_tokens: tuple[str, ...] = ()
    language_tokens: bool = False
    normalization: str = "nfkc"
    tokenizer_characters: int = 10_000_000
    workers: int = 0

    def check(self) -> None:
        """Raises UserError for values that no store can be made with."""
        splitter(self.language)
        check_extra_tokens(self.extra_tokens)
        if not 0 <= self.validation_fraction < 1:
            raise UserError(
                f"validation_fraction is {self.validation_fraction}: give a share of at least 0 and less than 1."
            )
        if self.workers < 0:
            raise UserError(f"workers is {self.workers}: give a number of processes, or 0 for one per CPU core.")

    def content(self) -> dict[str, object]:
        """The options that decide what the store holds, as JSON values."""
        options = dataclasses.asdict(self)
        del options["workers"]
        return json.loads(json.dumps(options))


def prepare(options: PrepareOptions, directory: str | Path, progress: bool = True) -> Store:
    """Makes the token store in `directory`, or opens it when it was made with the same options before.

    The store is the same to the bit for any number of workers and after any interruption: shards that are finished are
    reused, as long as options and text are the same. Another process that is at work on the directory is waited for.

    Args:
        options: what to make it from. For a store that exists, the sources are not read again.
        directory: made when it does not exist.
        progress: show progress, rate and time left on standard error.

    Raises:
        UserError: bad options or sources, an empty split, or a store in the directory that was made with other options.
    """
    options.check()
    directory = Path(directory)
    manifest = directory / MANIFEST_FILE
    if not manifest.is_file():
        make_writable(directory)
        require_own(directory, STORE)
        with locked(directory / ".lock"), full_disk_explained(directory):
            if not manifest.is_file():  # else another process has made it meanwhile
                return _make(options, directory, progress)
    return _existing(options, directory)


def _existing(options: PrepareOptions, directory: Path) -> Store:
    store = Store.open(directory)
    kind = f"{PrepareOptions.__module__}:{PrepareOptions.__name__}"
    written = upgraded({"type": kind, **store.manifest.get("options", {})})
    made, asked = PrepareOptions().content() | written, options.content()
    for name in asked:
        if made.get(name) != asked[name]:
            raise UserError(
                f"The store {directory} was made with {name}={made.get(name)!r} and not {asked[name]!r}: delete it, or "
                "give another directory."
            )
    if options.tokenizer not in MADE:
        asked_for = load_tokenizer(options.tokenizer, options.sentinels).with_extra_tokens(options.extra_tokens)
        store.require_tokenizer(asked_for.fingerprint)
    return store


def _make(options: PrepareOptions, directory: Path, progress: bool) -> Store:
    read = ReadOptions(
        options.text_field,
        options.documents,
        options.tfds_data_dir,
        options.pair_columns,
        options.phrases_field,
        options.code_field,
    )
    sources = open_sources(options.sources, read)
    validation = open_sources(options.validation_sources, read) if options.validation_sources else []
    languages = languages_of([*sources, *validation])
    described = [source.describe() for source in [*sources, *validation]]
    partial = _partial_directory(directory, {"options": options.content(), "sources": described})
    if options.language_tokens and not (languages and options.tokenizer == TRAIN):
        raise UserError(
            "language_tokens is for a tokenizer that is trained on sources that name their languages: write en=PATH "
            "before each source, and tokenizer=train."
        )
    fraction = 0.0 if validation else options.validation_fraction
    if fraction:
        _require_both_splits(sources, fraction)
    tokenizer = _tokenizer(options, sources, validation, languages, directory, progress)
    recipe = shards.Recipe(
        options.language, fraction, partial, languages, bool(options.phrases_field), bool(options.code_field)
    )
    counts = _encode_all(sources, validation, recipe, tokenizer, directory, options.workers, progress)
    _check_counts(counts, options)
    record: dict[str, object] = {"options": options.content(), "sources": described}
    if skipped := sum(source.skipped for source in [*sources, *validation]):
        record["skipped_pairs"] = skipped
    merge_shards.merge(directory, recipe, counts, tokenizer, record)
    shutil.rmtree(partial)
    return Store.open(directory)


def _encode_all(
    sources: Sequence[Source],
    validation: Sequence[Source],
    recipe: shards.Recipe,
    tokenizer: Tokenizer,
    directory: Path,
    processes: int,
    progress: bool,
) -> list[dict[str, dict[str, int]]]:
    """Writes every shard. Returns the counts of each, in order."""
    everything = [*sources, *validation]
    total = sum(source.total for source in everything)
    line = ProgressLine("Encoding", "tokens", progress)
    tokens = 0
    counts = []
    units = shards.units(_with_splits(sources, validation))
    processes = processes or os.cpu_count() or 1
    try:
        for shard_counts in workers.encode_units(units, recipe, tokenizer, directory / TOKENIZER_DIRECTORY, processes):
            counts.append(shard_counts)
            tokens += sum(split["tokens"] for split in shard_counts.values())
            line.update(sum(source.done for source in everything) / max(total, 1), tokens)
    finally:
        line.close()
    return counts


def _with_splits(sources: Sequence[Source], validation: Sequence[Source]) -> Iterator[tuple[str | None, Document]]:
    for document in read_documents(sources):
        yield ("train" if validation else None), document
    for document in read_documents(validation):
        yield "validation", document


def _tokenizer(
    options: PrepareOptions,
    sources: Sequence[Source],
    validation: Sequence[Source],
    languages: tuple[str, ...],
    directory: Path,
    progress: bool,
) -> Tokenizer:
    """The store's tokenizer: saved by an earlier run with the same options, loaded, or trained now."""
    saved = directory / TOKENIZER_DIRECTORY
    if saved.is_dir():
        return load_tokenizer(saved)
    temporary = directory / PARTIAL_DIRECTORY / TOKENIZER_DIRECTORY
    shutil.rmtree(temporary, ignore_errors=True)
    fraction = 0.0 if validation else options.validation_fraction
    if options.tokenizer in words.SPLITS:
        held_out = _paragraphs(validation, 1.0) if validation else _paragraphs(sources, fraction)
        seen = _paragraphs(sources, fraction, training=True, progress=progress)
        tokenizer: Tokenizer = words.train(seen, held_out, options.vocab_size, options.tokenizer, options.extra_tokens)
        tokenizer.save(temporary)
    elif options.tokenizer == TRAIN:
        texts = sample(sources, fraction, options.tokenizer_characters, progress)
        tokenizer = train_sentencepiece(
            texts,
            temporary,
            vocab_size=options.vocab_size,
            model_type=options.model_type,
            byte_fallback=options.byte_fallback,
            specials=options.specials,
            sentinels=options.sentinels,
            languages=languages if options.language_tokens else (),
            extra_tokens=options.extra_tokens,
            normalization=options.normalization,
            max_characters=options.tokenizer_characters,
        )
    else:
        tokenizer = load_tokenizer(options.tokenizer, options.sentinels).with_extra_tokens(options.extra_tokens)
        tokenizer.save(temporary)
    os.replace(temporary, saved)
    return tokenizer


def _paragraphs(
    sources: Sequence[Source], fraction: float, training: bool = False, progress: bool = False
) -> Iterator[str]:
    """The paragraphs of the validation documents, or of the training ones."""
    line = ProgressLine("Counting words", "documents", progress)
    total = sum(source.total for source in sources)
    for number, document in enumerate(read_documents(sources)):
        line.update(sum(source.done for source in sources) / max(total, 1), number)
        if shards.is_validation(document, fraction) != training:
            yield from document.paragraphs
    line.close()


def _require_both_splits(sources: Sequence[Source], fraction: float) -> None:
    """Reads documents until both splits have one; UserError, before anything is made of them, where one has none."""
    documents = {False: 0, True: 0}
    for document in read_documents(sources):
        documents[shards.is_validation(document, fraction)] += 1
        if all(documents.values()):
            return
    missing, total = ("validation", "training")[documents[True] > 0], sum(documents.values())
    raise UserError(
        f"The {missing} split is empty: validation_fraction={fraction} leaves it none of the {total} documents; give "
        "more documents (where a .txt file has one a line, documents=lines; between blank lines, "
        "documents=blank_lines), another fraction, or validation sources."
    )


def _check_counts(counts: list[dict[str, dict[str, int]]], options: PrepareOptions) -> None:
    documents = {name: sum(shard[name]["documents"] for shard in counts) for name in SPLITS}
    total = sum(documents.values())
    if not documents["validation"]:
        raise UserError(
            f"The validation split is empty: validation_fraction={options.validation_fraction} took none of the "
            f"{total} documents; raise it, give more documents, or give validation sources."
        )
    if not documents["train"]:
        raise UserError(
            f"The training split is empty: validation_fraction={options.validation_fraction} took all of the {total} "
            "documents; lower it, or give more documents."
        )


def _partial_directory(directory: Path, key: dict[str, object]) -> Path:
    """The folder of unfinished work, emptied when it is of other options or text."""
    partial = directory / PARTIAL_DIRECTORY
    content = json.dumps(key, indent=2, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    key_file = partial / KEY_FILE
    if not key_file.is_file() or json.loads(key_file.read_text())["digest"] != digest:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(directory / TOKENIZER_DIRECTORY, ignore_errors=True)
        partial.mkdir()
        temporary = partial / (KEY_FILE + ".tmp")
        temporary.write_text(json.dumps({"digest": digest}))
        os.replace(temporary, key_file)
    return partial
