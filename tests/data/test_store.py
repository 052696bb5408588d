import json
import shutil

import numpy as np
import pytest

from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.data.store.split import Split
from plmjax.data.store.store import MANIFEST_FILE, Store
from plmjax.errors import UserError


@pytest.fixture(scope="module")
def made(corpus_file, tokenizer, tmp_path_factory):
    """A store of the small corpus, and the tokenizer's folder."""
    directory = tmp_path_factory.mktemp("store")
    tokenizer.save(directory / "given")
    options = PrepareOptions(
        sources=(str(corpus_file),),
        documents="blank_lines",
        language="newline",
        tokenizer=str(directory / "given"),
        validation_fraction=0.2,
    )
    return prepare(options, directory / "store", progress=False)


@pytest.fixture
def copy(made, tmp_path):
    shutil.copytree(made.directory, tmp_path / "store")
    return tmp_path / "store"


def test_arrays_are_mapped_and_typed(made):
    split = made.split("train")
    assert isinstance(split, Split) and isinstance(split.tokens, np.memmap)
    assert split.tokens.dtype == np.uint16
    assert split.document_starts.dtype == split.sentence_starts.dtype == np.int64
    assert split.document_starts[0] == split.sentence_starts[0] == 0
    assert split.document_starts[-1] == split.sentence_starts[-1] == len(split.tokens)
    assert np.isin(split.document_starts, split.sentence_starts).all()
    assert (np.diff(split.sentence_starts) > 0).all()
    assert made.split("train") is split


def test_store_holds_the_documents_text(made, documents):
    texts = {
        made.tokenizer.decode(made.split(name).document(index))
        for name in ("train", "validation")
        for index in range(made.split(name).documents)
    }
    assert texts == {" ".join(document) for document in documents}


def test_sentences_are_the_lines(made, documents):
    split = made.split("validation")
    lines = {paragraph for document in documents for paragraph in document}
    bounds = zip(split.sentence_starts[:-1], split.sentence_starts[1:], strict=True)
    assert all(made.tokenizer.decode(split.tokens[start:end]) in lines for start, end in bounds)
    firsts = split.sentence_starts[split.document_sentences]
    assert (firsts == split.document_starts).all()


def test_tokens_hold_no_specials(made):
    for name in ("train", "validation"):
        assert not made.vocabulary.is_special[made.split(name).tokens].any()


def test_manifest_records_counts_and_hashes(made):
    counts = made.manifest["splits"]["train"]
    split = made.split("train")
    assert (counts["documents"], counts["sentences"], counts["tokens"]) == (
        split.documents,
        split.sentences,
        len(split.tokens),
    )
    assert made.manifest["sources"][0]["sha256"] and made.fingerprint
    Store.open(made.directory, verify=True)


def test_tokenizer_must_be_the_stores(made):
    made.require_tokenizer(made.tokenizer.fingerprint)
    with pytest.raises(UserError, match="made with another tokenizer"):
        made.require_tokenizer("0" * 64)


def test_missing_store(tmp_path):
    with pytest.raises(UserError, match=r"No token store at .*nowhere"):
        Store.open(tmp_path / "nowhere")


def test_unfinished_store(copy):
    (copy / MANIFEST_FILE).unlink()
    with pytest.raises(UserError, match="holds no finished token store"):
        Store.open(copy)


def test_damaged_stores(copy):
    tokens = copy / "train" / "tokens.npy"
    whole = tokens.read_bytes()
    tokens.write_bytes(whole[:-2])
    with pytest.raises(UserError, match=r"train/tokens\.npy has \d+ bytes, not \d+"):
        Store.open(copy)
    tokens.write_bytes(whole[:-2] + b"\x00\x00")
    Store.open(copy)
    with pytest.raises(UserError, match=r"content of train/tokens\.npy has changed"):
        Store.open(copy, verify=True)
    tokens.unlink()
    with pytest.raises(UserError, match=r"train/tokens\.npy is missing"):
        Store.open(copy)


def test_damaged_manifest(copy):
    (copy / MANIFEST_FILE).write_text("{")
    with pytest.raises(UserError, match="damaged"):
        Store.open(copy)
    (copy / MANIFEST_FILE).write_text(json.dumps({"version": 99}))
    with pytest.raises(UserError, match="version 99"):
        Store.open(copy)


def test_foreign_tokenizer_in_the_folder(copy, tokenizer):
    shutil.rmtree(copy / "tokenizer")
    tokenizer._sentinels += 1
    try:
        type(tokenizer)(tokenizer._model, 3).save(copy / "tokenizer")
    finally:
        tokenizer._sentinels -= 1
    with pytest.raises(UserError, match="damaged"):
        _ = Store.open(copy).tokenizer


def test_no_such_split(made):
    with pytest.raises(UserError, match="no split 'test'"):
        made.split("test")
