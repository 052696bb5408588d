"""Makes a token store from text, and a tokenizer for it.

    python -m experiments.prepare --input='texts/**/*.{txt,jsonl.gz}' --workdir=runs/store
    python -m experiments.prepare --input=train.jsonl --validation_input=valid.jsonl --tokenizer=bert/vocab.txt
    python -m experiments.prepare --input=tfds:wiki40b/en:train?text --vocab_size=32000 --workdir=runs/wiki
    python -m experiments.prepare --input=en=english.txt --input=hi=hindi.txt --input=en-hi=pairs.en,pairs.hi

Stopped at any moment, the same command goes on where it was. The store holds plain tokens with the borders of
documents and sentences; which objective reads them is decided later.
"""

import time
from collections.abc import Sequence

from absl import flags

from experiments import _main
from plmjax.data.languages import joined_pairs
from plmjax.data.progress import clock
from plmjax.data.sources.translations import split_names
from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.data.store.store import Store
from plmjax.data.tokenizers.sentencepiece import PRESETS

DEFAULT = PrepareOptions()

INPUT = flags.DEFINE_multi_string(
    "input", list(DEFAULT.sources),
    "Text: a path or quoted glob of .txt, .jsonl, .jsonl.gz or .parquet files, tfds:NAME[/CONFIG][:SPLIT][?FEATURE], "
    "or builtin (the documentation of installed Python packages). Repeat the flag, or part by commas. Several "
    "languages: en=PATH, hi=PATH; translations: en-hi=FILE,FILE with a line for a line (or FILE.{en,hi}), or "
    "en-hi=FILE of tab-separated columns; all of it plain or .gz.",
)  # fmt: skip
VALIDATION_INPUT = flags.DEFINE_multi_string(
    "validation_input", list(DEFAULT.validation_sources),
    "Text of the validation split; without it, a share of the documents of --input, chosen by a hash of their text.",
)  # fmt: skip
WORKDIR = flags.DEFINE_string("workdir", "runs/store", "The folder of the store.")
flags.DEFINE_alias("output", "workdir")
VALIDATION_FRACTION = flags.DEFINE_float(
    "validation_fraction", DEFAULT.validation_fraction, "The share of the documents for the validation split."
)
TEXT_FIELD = flags.DEFINE_string(
    "text_field", DEFAULT.text_field, "The field or column of .jsonl and .parquet files that holds the text."
)
DOCUMENTS = flags.DEFINE_enum(
    "documents", DEFAULT.documents, ["files", "blank_lines", "lines"],
    "What is a document of .txt files: each file, each block between blank lines, or each line.",
)  # fmt: skip
TFDS_DATA_DIR = flags.DEFINE_string(
    "tfds_data_dir", DEFAULT.tfds_data_dir, "Where TFDS keeps its data; by default where TFDS chooses."
)
PAIR_COLUMNS = flags.DEFINE_string(
    "pair_columns", DEFAULT.pair_columns, "The columns, from 1, of translations in one tab-separated file."
)
PHRASES_FIELD = flags.DEFINE_string(
    "phrases_field",
    DEFAULT.phrases_field,
    "The field of .jsonl files that holds a tagger's phrases, [[start, end], ...] in characters of the text, for "
    "masking.strategy=phrases; empty: none.",
)
CODE_FIELD = flags.DEFINE_string(
    "code_field",
    DEFAULT.code_field,
    "The field of .jsonl files that holds a document's control code (its source, for one), for windows of CodedChunks; "
    "empty: none.",
)
LANGUAGE = flags.DEFINE_string(
    "language", DEFAULT.language,
    "For splitting sentences: an ISO 639 code (en, hi, ne, ...), or newline for one sentence a line. Sources that "
    "name their language are split by it.",
)  # fmt: skip
TOKENIZER = flags.DEFINE_string(
    "tokenizer", DEFAULT.tokenizer,
    "train (pieces); words (every word of the text, cut at blanks and around punctuation) or whitespace (at blanks "
    "alone); or a folder or file: a SentencePiece .model, BERT's vocab.txt, vocab.json with merges.txt, GPT-1's "
    "encoder_bpe_40000.json with vocab_40000.bpe, tokenizer.json, or the tokenizer folder of another store.",
)  # fmt: skip
VOCAB_SIZE = flags.DEFINE_integer(
    "vocab_size",
    DEFAULT.vocab_size,
    "Pieces of a trained tokenizer, sentinels on top; or the words, the most frequent ones, that a softmax predicts.",
    lower_bound=1,
)
MODEL_TYPE = flags.DEFINE_enum("model_type", DEFAULT.model_type, ["unigram", "bpe"], "The kind of a trained tokenizer.")
BYTE_FALLBACK = flags.DEFINE_bool(
    "byte_fallback",
    DEFAULT.byte_fallback,
    "Let a trained tokenizer spell rare characters as bytes, so that nothing is unknown.",
)
SPECIALS = flags.DEFINE_enum(
    "specials",
    DEFAULT.specials,
    list(PRESETS),
    "The special tokens of a trained tokenizer; all serves every objective.",
)
SENTINELS = flags.DEFINE_integer(
    "sentinels", DEFAULT.sentinels,
    "Sentinels above the pieces of a SentencePiece tokenizer, for span corruption; by default what --specials or the "
    "published model needs.",
    lower_bound=0,
)  # fmt: skip
EXTRA_TOKENS = flags.DEFINE_list(
    "extra_tokens", list(DEFAULT.extra_tokens),
    "Further special tokens of the tokenizer, parted by commas, such as UL2's mode tokens: '[R],[S],[X]'.",
)  # fmt: skip
LANGUAGE_TOKENS = flags.DEFINE_bool(
    "language_tokens", DEFAULT.language_tokens, "Give each language that the sources name a token in a trained "
    "tokenizer: mBART and translation into several languages need them.",
)  # fmt: skip
NORMALIZATION = flags.DEFINE_enum(
    "normalization", DEFAULT.normalization, ["nfkc", "identity", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"],
    "SentencePiece's normalisation for a trained tokenizer; those in _cf fold case.",
)  # fmt: skip
TOKENIZER_CHARACTERS = flags.DEFINE_integer(
    "tokenizer_characters", DEFAULT.tokenizer_characters, "Characters of text to train the tokenizer on.", lower_bound=1
)
WORKERS = flags.DEFINE_integer("workers", DEFAULT.workers, "Processes for large texts; 0 is one a CPU core.")


def names(values: Sequence[str]) -> tuple[str, ...]:
    """The names in flags that may hold several, parted by commas outside of {a,b} groups."""
    return tuple(name for value in values for name in joined_pairs(split_names(value)))


def options() -> PrepareOptions:
    """What the flags ask for."""
    return PrepareOptions(
        sources=names(INPUT.value),
        validation_sources=names(VALIDATION_INPUT.value),
        validation_fraction=VALIDATION_FRACTION.value,
        text_field=TEXT_FIELD.value,
        phrases_field=PHRASES_FIELD.value,
        code_field=CODE_FIELD.value,
        documents=DOCUMENTS.value,
        tfds_data_dir=TFDS_DATA_DIR.value,
        pair_columns=PAIR_COLUMNS.value,
        language=LANGUAGE.value,
        tokenizer=TOKENIZER.value,
        vocab_size=VOCAB_SIZE.value,
        model_type=MODEL_TYPE.value,
        byte_fallback=BYTE_FALLBACK.value,
        specials=SPECIALS.value,
        sentinels=SENTINELS.value,
        extra_tokens=tuple(EXTRA_TOKENS.value),
        language_tokens=LANGUAGE_TOKENS.value,
        normalization=NORMALIZATION.value,
        tokenizer_characters=TOKENIZER_CHARACTERS.value,
        workers=WORKERS.value,
    )


def summary(store: Store, seconds: float) -> str:
    """What a store holds, as lines for people."""
    vocabulary = store.vocabulary
    lines = []
    for name, counts in store.manifest["splits"].items():
        per_word = counts["tokens"] / max(counts["words"], 1)
        unknown = counts["unknown"] / max(counts["tokens"], 1)
        lines.append(
            f"{name:>10}: {counts['documents']:,} documents, {counts['sentences']:,} sentences, "
            f"{counts['tokens']:,} tokens, {per_word:.2f} tokens per word, {unknown:.2%} unknown"
        )
    if store.languages:
        skipped = store.manifest.get("skipped_pairs", 0)
        lines.append(f" languages: {', '.join(store.languages)}; {skipped:,} translations with an empty side left out")
    if codes := store.manifest.get("codes"):
        lines.append(f"     codes: {', '.join(codes)}")
    lines += [
        f" tokenizer: {store.tokenizer.name}, {vocabulary.size:,} ids ({len(vocabulary.sentinels)} of them sentinels), "
        f"{vocabulary.padded_size:,} rows, fingerprint {store.tokenizer.fingerprint[:12]}",
        f"     store: {store.directory}, fingerprint {store.fingerprint[:12]}, made in {clock(seconds)}",
    ]
    return "\n".join(lines)


def main() -> None:
    begin = time.monotonic()
    store = prepare(options(), WORKDIR.value)
    print(summary(store, time.monotonic() - begin))


if __name__ == "__main__":
    _main.run(main)
