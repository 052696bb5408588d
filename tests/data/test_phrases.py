"""A tagger's phrases: from characters through sentences and tokenizers to marks in the store and in windows."""

import json

import numpy as np
import pytest

from plmjax.data.sources.phrases import parse
from plmjax.data.store import shards
from plmjax.data.store.phrases import mark
from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.data.store.store import Store
from plmjax.data.tokenizers.load import load_tokenizer
from plmjax.data.windows import DocSentences, FullSentences
from plmjax.errors import UserError
from plmjax.objectives.masked_lm import MaskedLM, Masking
from tests.objectives.kit import corrupted

NAMES = ("Zo\u00eb M\u00fcller", "New York", "U.S.", "Br\u00fchl")


def document(number: int) -> tuple[str, list[list[int]]]:
    """A text in two paragraphs, and the characters of the names in it."""
    first, second = NAMES[number % 4], NAMES[(number + 1) % 4]
    text = f"On day {number} the caf\u00e9 of {first} was open.  People\nfrom {second} came.\n\n"
    text += f"Also {first}, again; not {second}."
    places = [at for name in {first, second} for at in range(len(text)) if text.startswith(name, at)]
    spans = [[at, at + len(next(name for name in (first, second) if text.startswith(name, at)))] for at in places]
    return text, sorted(spans)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("phrases") / "tagged.jsonl"
    lines = [{"text": text, "names": spans} for text, spans in map(document, range(80))]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def store(source, tmp_path_factory):
    options = PrepareOptions((str(source),), phrases_field="names", vocab_size=310, validation_fraction=0.2)
    return prepare(options, tmp_path_factory.mktemp("store") / "s", progress=False)


def said(store: Store, name: str) -> list[str]:
    """The marked phrases of a split as text, in order."""
    split = store.split(name)
    marks, tokens = np.asarray(split.phrases), np.asarray(split.tokens)
    starts = np.flatnonzero(marks == 1)
    ends = [start + 1 + int(np.argmin(np.append(marks[start + 1 :], 0) == 2)) for start in starts]
    return [store.tokenizer.decode(tokens[a:b].tolist()).strip() for a, b in zip(starts, ends, strict=True)]


def test_words_of_characters():
    text = "Ann  Lee saw\nU.S. troops.\n\n\ufeff End"
    assert parse([[0, 8], [13, 16]], text, "x") == ((0, 2), (3, 4))
    assert parse([[14, 15]], text, "x") == ((3, 4),)  # a part of a word is the word
    assert parse([[3, 5], [28, len(text)]], text, "x") == ((5, 6),)  # blanks are none, a byte-order mark no word
    assert parse([], text, "x") == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", r"f:3: phrases are 'x': give a list of \[start, end\]"),
        ([[1]], "give a list of"),
        ([[0.5, 2]], "give a list of"),
        ([[True, 2]], "give a list of"),
        ([[2, 2]], r"phrase \[2, 2\] lies outside the text of 9"),
        ([[0, 10]], r"\[0, 10\] lies outside"),
        ([[-1, 2]], r"\[-1, 2\] lies outside"),
        ([[0, 3], [2, 7]], r"\[2, 7\] shares a word"),
    ],
)
def test_bad_phrases_are_named(value, message):
    with pytest.raises(UserError, match=message):
        parse(value, "one three", "f:3")


def test_every_phrase_is_marked_whole(store):
    found = said(store, "train") + said(store, "validation")
    given = [text[a:b] for text, spans in map(document, range(80)) for a, b in spans]
    assert len(found) == len(given) == 320
    # A word is marked with the comma or stop that follows it.
    assert sorted({name.rstrip(",.;") for name in found}) == sorted({name.rstrip(".") for name in NAMES})


def test_tokens_are_those_of_a_store_without(source, store, tmp_path):
    options = PrepareOptions((str(source),), vocab_size=310, validation_fraction=0.2)
    plain = prepare(options, tmp_path / "plain", progress=False)
    assert plain.split("train").phrases is None and "phrases" not in plain.manifest
    for name in ("train", "validation"):
        np.testing.assert_array_equal(plain.split(name).tokens, store.split(name).tokens)


def test_shards_are_joined_in_order(source, store, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "UNIT_CHARACTERS", 500)
    options = PrepareOptions((str(source),), phrases_field="names", vocab_size=310, validation_fraction=0.2)
    cut = prepare(options, tmp_path / "cut", progress=False)
    assert cut.fingerprint == store.fingerprint


def test_masking_takes_whole_phrases(store):
    objective = MaskedLM(DocSentences(phrases=True), Masking(strategy="phrases", rate=0.5))
    windows = objective.windows(store.split("train"), store.vocabulary, 48, 0)
    batch = windows.batch(np.arange(len(windows))) | {
        "example_ids": np.arange(len(windows), dtype=np.int32),
        "epochs": np.zeros(len(windows), np.int32),
    }
    units = np.asarray(corrupted(objective, store.vocabulary, batch)["span_ids"])
    whole = long = 0
    for row, at in zip(*np.nonzero(batch["phrases"] == 1), strict=True):
        end = at + 1 + int(np.argmin(batch["phrases"][row, at + 1 :] == 2))
        long += end > at + 3
        whole += end > at + 3 and (units[row, at:end] == at + 1).all()
    assert long > 50 and whole > long / 4  # most of the others are longer than what was left of the budget


@pytest.mark.parametrize("window", [DocSentences(phrases=True), FullSentences(phrases=True)])
def test_windows_give_the_marks_in_their_places(store, window):
    split = store.split("train")
    windows = window.build(split, store.vocabulary, 48, 0)
    assert "phrases" in window.gives and "phrases" not in type(window)().gives
    batch = windows.batch(np.arange(len(windows)))
    marks, tokens = batch["phrases"], batch["tokens"]
    assert marks.dtype == np.int32 and not marks[store.vocabulary.is_special[tokens]].any()
    assert (marks == 1).sum() == (np.asarray(split.phrases) == 1).sum()
    ordinary = ~store.vocabulary.is_special[tokens] & (batch["segments"] > 0)
    np.testing.assert_array_equal(tokens[ordinary], split.tokens)
    np.testing.assert_array_equal(marks[ordinary], split.phrases)


def test_what_does_not_fit_is_refused(source, store, tmp_path):
    objective = MaskedLM(DocSentences(), Masking(strategy="phrases"))
    with pytest.raises(UserError, match="reads `phrases`, which windows of DocSentences do not give"):
        from plmjax.modules.bert import VARIANTS

        objective.check(VARIANTS["tiny"], "encoder", store.vocabulary, 48)
    bare = source.with_name("bare.jsonl")
    bare.write_text('{"text": "One."}\n' * 20)
    plain = prepare(PrepareOptions((str(source),), vocab_size=310), tmp_path / "s", progress=False)
    with pytest.raises(UserError, match="the train split has no phrases: prepare the store with --phrases_field"):
        DocSentences(phrases=True).build(plain.split("train"), plain.vocabulary, 48, 0)
    with pytest.raises(UserError, match=r"bare\.jsonl:1 has no field 'names' but text: give every document"):
        prepare(PrepareOptions((str(bare),), phrases_field="names"), tmp_path / "t", progress=False)
    text = source.with_name("text.txt")
    text.write_text("One.")
    with pytest.raises(UserError, match=r"text\.txt' is not a \.jsonl file, and only"):
        prepare(PrepareOptions((str(text),), phrases_field="names"), tmp_path / "u", progress=False)


@pytest.mark.parametrize("folder", ["bert_vocab", "gpt1_bpe"])
def test_other_tokenizers(folder, data_dir):
    """Punctuation that a tokenizer parts from its word stays with it."""
    path = data_dir / folder
    if not path.exists():
        pytest.skip(f"{path} is absent")
    tokenizer = load_tokenizer(str(path / "vocab.txt" if folder == "bert_vocab" else path))
    text, spans = document(2)
    sentences = [" ".join(text.split())]
    ids = tokenizer.encode_batch(sentences)
    marks = mark(parse(spans, text, "x"), sentences, ids, tokenizer)
    assert len(marks) == len(ids[0]) and (marks == 1).sum() == 4
    start = int(np.flatnonzero(marks == 1)[0])
    length = 1 + int(np.argmin(marks[start + 1 :] == 2))
    assert "u" in tokenizer.decode(ids[0][start : start + length]).lower()


def test_entities_of_conll_are_marked_whole(tmp_path, data_dir):
    file = data_dir / "conll2003_en" / "eng.testa"
    if not file.exists():
        pytest.skip(f"{file} is absent")
    lines, words, spans, at = [], [], [], 0
    for line in file.read_text().splitlines()[:6000]:
        fields = line.split()
        if not fields:
            if words:
                lines.append({"text": " ".join(words), "entities": spans})
            words, spans, at = [], [], 0
            continue
        if fields[0] == "-DOCSTART-":
            continue
        tag, end = fields[-1], at + len(fields[0])
        if tag != "O":
            if tag.startswith("I-") and spans and spans[-1][1] == at - 1:
                spans[-1][1] = end
            else:
                spans.append([at, end])
        words.append(fields[0])
        at = end + 1
    path = tmp_path / "conll.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = PrepareOptions((str(path),), phrases_field="entities", vocab_size=1000, language="newline")
    store = prepare(options, tmp_path / "store", progress=False)
    marked = sum(int((np.asarray(store.split(name).phrases) == 1).sum()) for name in ("train", "validation"))
    assert marked == sum(len(line["entities"]) for line in lines) > 500
