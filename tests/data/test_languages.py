"""Sources that name their language, translations, and the windows of both."""

import gzip
import json

import numpy as np
import pytest

from experiments.prepare import names
from plmjax.data.languages import NONE, smoothed
from plmjax.data.loader import Loader
from plmjax.data.sources.base import ReadOptions
from plmjax.data.sources.open import open_sources, read_documents
from plmjax.data.store import tokenizer_sample, workers
from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.data.store.store import Store
from plmjax.data.windows import LanguageStreams, StreamsAndTranslations, TranslationPairs
from plmjax.errors import UserError

LENGTH = 24
SIZES = {"en": 1200, "hi": 300, "ne": 60}  # sentences
SYLLABLES = {"en": "ba be bi bo bu", "hi": "ka ke ki ko ku", "ne": "la le li lo lu"}


def sentences(language, count, seed=0):
    """Sentences of made-up words, other ones in each language."""
    rng = np.random.default_rng(seed)
    syllables = SYLLABLES[language].split()
    words = ["".join(rng.choice(syllables, rng.integers(1, 4))) for _ in range(60)]
    return [" ".join(rng.choice(words, rng.integers(4, 9))).capitalize() + "." for _ in range(count)]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Monolingual text, documents of four sentences, and translations of two kinds."""
    folder = tmp_path_factory.mktemp("languages")
    for language, count in SIZES.items():
        lines = sentences(language, count)
        records = [json.dumps({"text": " ".join(lines[at : at + 4])}) for at in range(0, count, 4)]
        (folder / f"{language}.jsonl").write_text("\n".join(records))
    for language in ("en", "hi"):
        (folder / f"pairs.{language}").write_text("\n".join(sentences(language, 150, 1)) + "\n")
    columns = zip(range(40), sentences("en", 40, 2), sentences("ne", 40, 2), strict=True)
    with gzip.open(folder / "pairs.tsv.gz", "wt") as file:
        file.write("".join(f"{number}\t{a}\t{b}\n" for number, a, b in columns))
    return folder


def options(texts, **changes):
    sources = [f"{language}={texts}/{language}.jsonl" for language in SIZES]
    sources += [f"en-hi={texts}/pairs.en,{texts}/pairs.hi", f"en-ne={texts}/pairs.tsv.gz"]
    given = {"sources": tuple(sources), "pair_columns": "2,3", "vocab_size": 400, "workers": 1, "sentinels": 0}
    return PrepareOptions(**(given | changes))


@pytest.fixture(scope="module")
def store(texts, tmp_path_factory) -> Store:
    return prepare(options(texts), tmp_path_factory.mktemp("store") / "store", progress=False)


def test_the_store_knows_the_language_of_each_document(store):
    assert store.languages == ("en", "hi", "ne")
    for name in ("train", "validation"):
        split = store.split(name)
        languages = split.document_languages
        assert languages.shape == (split.documents, 2)
        for document in range(0, split.documents, 7):
            spoken = [language for language in languages[document] if language != NONE]
            first, last = split.document_sentences[document : document + 2]
            places = split.sentence_starts[first : last + 1]
            if len(spoken) == 2:
                assert last - first == 2
            else:
                places = places[[0, -1]]
            for language, start, end in zip(spoken, places[:-1], places[1:], strict=True):
                text = store.tokenizer.decode(split.tokens[start:end]).lower()
                wanted = SYLLABLES[store.languages[language]][0]
                assert set(text) & set("bkl") == {wanted}
    both = np.concatenate([store.split(name).document_languages for name in ("train", "validation")])
    assert (both[:, 1] == 1).sum() == 150 and (both[:, 1] == 2).sum() == 40
    assert Store.open(store.directory, verify=True).fingerprint == store.fingerprint


def test_tokens_are_counted(store):
    tokens, counts = store.split("train").tokens, np.asarray(store.vocabulary.token_counts)
    assert counts.shape == (store.vocabulary.padded_size,) and counts.sum() == len(tokens)
    assert counts[tokens[5]] == (tokens == tokens[5]).sum()
    assert any((store.directory / "index_cache").iterdir())  # where they are kept
    np.testing.assert_array_equal(counts, np.asarray(store.vocabulary.token_counts))


def test_the_store_is_the_same_for_any_number_of_workers(texts, store, tmp_path, monkeypatch):
    monkeypatch.setattr("plmjax.data.store.shards.UNIT_CHARACTERS", 20_000)
    monkeypatch.setattr(workers, "UNITS_IN_PROCESS", 1)
    again = prepare(options(texts, workers=2), tmp_path / "two", progress=False)
    assert again.fingerprint == store.fingerprint


def test_the_names_of_languages_are_part_of_the_fingerprint(texts, store, tmp_path):
    sources = [name.replace("ne=", "mr=").replace("-ne=", "-mr=") for name in options(texts).sources]
    other = prepare(options(texts, sources=tuple(sources)), tmp_path / "other", progress=False)
    assert other.languages == ("en", "hi", "mr")
    assert other.fingerprint != store.fingerprint


def test_a_store_made_before_there_were_languages_is_still_opened(texts, tmp_path):
    plain = PrepareOptions(sources=(f"{texts}/en.jsonl",), vocab_size=300, workers=1, sentinels=0)
    made = prepare(plain, tmp_path / "plain", progress=False)
    assert made.languages == () and made.split("train").document_languages is None
    path = tmp_path / "plain" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["options"]["pair_columns"]
    path.write_text(json.dumps(manifest))
    assert prepare(plain, tmp_path / "plain", progress=False).fingerprint == made.fingerprint
    with pytest.raises(UserError, match="--input=en=PATH"):
        LanguageStreams().build(made.split("train"), made.vocabulary, LENGTH, 0)


def test_names_of_translations_keep_their_comma():
    assert names(["en-hi=a.en,a.hi,ne=b.txt", "hi=c.{txt,jsonl},en-ne=d.tsv,en=e"]) == (
        "en-hi=a.en,a.hi", "ne=b.txt", "hi=c.{txt,jsonl}", "en-ne=d.tsv", "en=e",
    )  # fmt: skip


def read(name, columns="1,2"):
    return list(read_documents(open_sources([name], ReadOptions(pair_columns=columns))))


def test_an_empty_side_is_skipped_and_counted(tmp_path, texts):
    (tmp_path / "a.en").write_text("one\n\nthree\n")
    (tmp_path / "a.hi").write_text("ek\ndo\ntin")
    (source,) = open_sources([f"en-hi={tmp_path}/a.{{en,hi}}"])
    found = list(source.documents())
    assert [document.paragraphs for document in found] == [["one", "ek"], ["three", "tin"]]
    assert source.skipped == 1
    (tmp_path / "b.tsv").write_text("one\tek\nthree\t \n\n")
    (source,) = open_sources([f"en-hi={tmp_path}/b.tsv"])
    assert len(list(source.documents())) == 1 and source.skipped == 2


@pytest.mark.parametrize(
    ("files", "name", "columns", "words"),
    [
        ({"a": "1\n2\n3\n", "b": "1\n"}, "en-hi={}/a,{}/b", "1,2", "has 3 lines and .*b has 1:"),
        ({"a": "1\t2\n3\n"}, "en-hi={}/a", "1,2", r"a:2 has 1 tab-separated columns and no column 2"),
        ({"a": "1\t2\n"}, "en-hi={}/a", "1", "give two numbers from 1"),
        ({"a": "1\t2\n"}, "en-hi={}/a", "0,1", "give two numbers from 1"),
        ({"a": "1", "b": "2", "c": "3"}, "en-hi={}/a,{}/b,{}/c", "1,2", "matches 3 files"),
        ({"a": "1\t2\n"}, "en-en={}/a", "1,2", "translations of en into itself"),
    ],
)
def test_errors_of_translations(tmp_path, files, name, columns, words):
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=words):
        read(name.replace("{}", str(tmp_path)), columns)


def test_all_sources_name_a_language_or_none(texts, tmp_path):
    sources = (f"en={texts}/en.jsonl", f"{texts}/hi.jsonl")
    with pytest.raises(UserError, match="Some sources name their language"):
        prepare(options(texts, sources=sources), tmp_path / "store", progress=False)


def test_the_tokenizer_reads_languages_in_smoothed_shares(texts):
    sources = open_sources([f"{language}={texts}/{language}.jsonl" for language in SIZES])
    everything = [sum(len(p) for d in read_documents([source]) for p in d.paragraphs) for source in sources]
    sample = "".join(tokenizer_sample.sample(sources, 0.0, 20_000)).lower()
    counts = np.array([sum(sample.count(syllable) for syllable in SYLLABLES[name].split()) for name in SIZES])
    np.testing.assert_allclose(counts / counts.sum(), smoothed(everything, 0.5), atol=0.04)


def test_shares_by_alpha():
    np.testing.assert_allclose(smoothed([900, 100], 0.5), [0.75, 0.25])
    np.testing.assert_allclose(smoothed([900, 100], 1), [0.9, 0.1])
    np.testing.assert_allclose(smoothed([900, 100, 0], -1), [0.5, 0.5, 0])


def test_streams_are_one_language_with_an_eos_after_each_sentence(store):
    split, eos = store.split("train"), store.vocabulary.eos
    windows = LanguageStreams(alpha=1).build(split, store.vocabulary, LENGTH, 0)
    streams = {}
    for index in range(len(windows)):
        window = windows[index]
        assert len(set(window["token_types"])) == 1 and window["translation"] == 0
        assert list(window["positions"]) == list(range(LENGTH)) and window["segments"].all()
        streams.setdefault(int(window["token_types"][0]), []).append(window["tokens"])
    assert set(streams) == {0, 1, 2}
    for language, chunks in streams.items():
        wanted = [eos]
        for document in np.flatnonzero((split.document_languages == [language, NONE]).all(1)):
            for sentence in range(*split.document_sentences[document : document + 2]):
                start, end = split.sentence_starts[sentence : sentence + 2]
                wanted += [*split.tokens[start:end], eos]
        got = np.concatenate(chunks)
        assert len(wanted) - len(got) < LENGTH
        np.testing.assert_array_equal(got, wanted[: len(got)])


def test_a_stream_may_overlap(store):
    windows = LanguageStreams(alpha=1, overlap=1).build(store.split("train"), store.vocabulary, LENGTH + 1, 0)
    assert windows[0]["tokens"][-1] == windows[1]["tokens"][0]
    with pytest.raises(UserError, match="can't overlap"):
        LanguageStreams(overlap=LENGTH).build(store.split("train"), store.vocabulary, LENGTH, 0)


def test_translations_have_four_separators_and_two_counts_of_positions(store):
    split, eos = store.split("train"), store.vocabulary.eos
    windows = TranslationPairs(alpha=1).build(split, store.vocabulary, LENGTH, 0)
    lengths = np.diff(split.document_starts)
    fitting = (split.document_languages[:, 1] != NONE) & (lengths + 4 <= LENGTH)
    assert 0 < len(windows) == fitting.sum() < (split.document_languages[:, 1] != NONE).sum()
    for index in range(len(windows)):
        window = windows[index]
        real = window["segments"] > 0
        tokens, types, positions = (window[name][real] for name in ("tokens", "token_types", "positions"))
        assert window["translation"] == 1 and (tokens == eos).sum() == 4
        second = int(np.flatnonzero(positions == 0)[1])
        assert list(tokens[[0, second - 1, second, -1]]) == [eos] * 4
        assert list(positions) == [*range(second), *range(len(tokens) - second)]
        assert len(set(types[:second])) == len(set(types[second:])) == 1 and types[0] != types[second]
        assert not window["positions"][~real].any() and (window["tokens"][~real] == store.vocabulary.padding).all()


@pytest.mark.parametrize("alpha", [0.5, 0.7, -1])
def test_languages_are_drawn_in_their_shares(store, alpha):
    split = store.split("train")
    ones = LanguageStreams(alpha=1).build(split, store.vocabulary, LENGTH, 0)
    sizes = np.bincount([ones[index]["token_types"][0] for index in range(len(ones))])
    windows = LanguageStreams(alpha=alpha).build(split, store.vocabulary, LENGTH, 0)
    loader = Loader(windows, 100, seed=3)
    drawn = np.concatenate([loader.batch(step)["token_types"][:, 0] for step in range(100)])
    shares = np.bincount(drawn, minlength=3) / len(drawn)
    wanted = smoothed(sizes, alpha)
    print(alpha, shares, wanted)
    error = np.sqrt(wanted * (1 - wanted) / len(drawn))  # an upper limit: the draws of an epoch are without replacement
    assert (abs(shares - wanted) < 3 * error + 1 / len(windows)).all()


def test_both_are_mixed_in_the_share_that_is_stated(store):
    windows = StreamsAndTranslations(translations=0.3).build(store.split("train"), store.vocabulary, LENGTH, 0)
    loader = Loader(windows, 100, seed=5)
    share = np.mean([loader.batch(step)["translation"] for step in range(100)])
    assert abs(share - 0.3) < 3 * np.sqrt(0.3 * 0.7 / 10_000) + 1 / len(windows)
    assert any(loader.batch(step)["token_types"][:, 0].max() == 2 for step in range(20))
    with pytest.raises(UserError, match="between 0 and 1"):
        StreamsAndTranslations(translations=1).build(store.split("train"), store.vocabulary, LENGTH, 0)


def test_validation_reads_each_text_once(store):
    split = store.split("validation")
    once = LanguageStreams(alpha=1).build(split, store.vocabulary, 12, 0)
    assert len(LanguageStreams(alpha=-1).build(split, store.vocabulary, 12, 0)) == len(once)
    assert len({bytes(once[index]["tokens"]) for index in range(len(once))}) == len(once)


@pytest.mark.parametrize("alpha", [-2, -0.5])
def test_alpha_is_checked(store, alpha):
    with pytest.raises(UserError, match="alpha"):
        LanguageStreams(alpha=alpha).build(store.split("train"), store.vocabulary, LENGTH, 0)


def test_text_that_is_too_short(store):
    with pytest.raises(UserError, match="too small"):
        LanguageStreams().build(store.split("train"), store.vocabulary, 100_000, 0)
    with pytest.raises(UserError, match="no translations that fit"):
        TranslationPairs().build(store.split("train"), store.vocabulary, 6, 0)
