import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plmjax.data.sources.base import Document
from plmjax.data.sources.open import open_sources
from plmjax.data.store import prepare as preparing
from plmjax.data.store import shards, workers
from plmjax.data.store.prepare import PARTIAL_DIRECTORY, PrepareOptions, prepare
from plmjax.errors import UserError
from tests.data.conftest import make_documents

REPOSITORY = Path(__file__).resolve().parent.parent.parent

# Prepares in another process, one small shard at a time and slowly, so that there is a middle to be killed in.
SLOW = """
import json, sys, time
from plmjax.data.store import shards
from plmjax.data.store.prepare import PrepareOptions, prepare
shards.UNIT_CHARACTERS = 2000
encode = shards.encode
def slow(*args):
    time.sleep(0.05)
    return encode(*args)
shards.encode = slow
prepare(PrepareOptions(**json.loads(sys.argv[1])), sys.argv[2], progress=False)
"""


@pytest.fixture(scope="module")
def input_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("input") / "input.jsonl"
    texts = ["\n\n".join(document) for document in make_documents(150, seed=7)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture(scope="module")
def options(input_file):
    return PrepareOptions(
        sources=(str(input_file),), vocab_size=400, model_type="bpe", validation_fraction=0.2, workers=1
    )


@pytest.fixture(autouse=True)
def small_units(monkeypatch):
    monkeypatch.setattr(shards, "UNIT_CHARACTERS", 2000)


@pytest.fixture(scope="module")
def made(options, tmp_path_factory):
    """The store that a run without interruption makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "UNIT_CHARACTERS", 2000)
        return prepare(options, tmp_path_factory.mktemp("made"), progress=False)


def contents(directory):
    """Every file of a store."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(Path(directory).rglob("*"))
        if path.is_file()
    }


def test_store_is_complete_and_clean(made):
    assert set(contents(made.directory)) == {
        ".lock",
        "manifest.json",
        "tokenizer/plmjax_tokenizer.json",
        "tokenizer/spiece.model",
        *(f"{split}/{array}.npy" for split in ("train", "validation") for array in preparing.merge_shards.ARRAYS),
    }


def test_split_is_by_the_text(made, input_file):
    validation = {
        made.tokenizer.decode(made.split("validation").document(i)) for i in range(made.split("validation").documents)
    }
    (source,) = open_sources([str(input_file)])
    expected = {" ".join(document.paragraphs) for document in source.documents() if shards.is_validation(document, 0.2)}
    assert validation == expected
    copies = (Document("1", ["a", "b"]), Document("2", ["a", "b"]))
    assert (
        shards.document_hash(copies[0])
        == shards.document_hash(copies[1])
        != shards.document_hash(Document("1", ["ab"]))
    )


def test_split_has_the_share_asked_for():
    hashes = [shards.document_hash(Document("", [str(i)])) for i in range(4000)]
    assert abs(sum(value < 0.1 for value in hashes) / 4000 - 0.1) < 3 * (0.09 / 4000) ** 0.5


def test_counts(made, input_file):
    (source,) = open_sources([str(input_file)])
    words = sum(len(paragraph.split()) for document in source.documents() for paragraph in document.paragraphs)
    splits = made.manifest["splits"].values()
    assert sum(counts["words"] for counts in splits) == words
    assert sum(counts["documents"] for counts in splits) == 150
    assert all(counts["unknown"] == 0 for counts in splits)


def test_result_is_the_same_for_any_number_of_workers(options, made, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "UNITS_IN_PROCESS", 2)
    import jax

    jax.device_count()  # JAX is at work already: nothing may fork
    store = prepare(dataclasses.replace(options, workers=2), tmp_path / "parallel", progress=False)
    assert contents(store.directory) == contents(made.directory)


def test_result_is_the_same_after_kills(options, made, tmp_path, monkeypatch):
    values = json.dumps(dataclasses.asdict(options))
    partial = tmp_path / "store" / PARTIAL_DIRECTORY
    for shards_before_kill in (3, 8):
        process = subprocess.Popen([sys.executable, "-c", SLOW, values, str(tmp_path / "store")], cwd=REPOSITORY)
        deadline = time.monotonic() + 60
        while len(list(partial.glob("*.npz"))) < shards_before_kill and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finished = len(list(partial.glob("*.npz")))
    encoded = []
    encode = shards.encode
    monkeypatch.setattr(shards, "encode", lambda unit, *args: encoded.append(unit.number) or encode(unit, *args))
    store = prepare(options, tmp_path / "store", progress=False)
    assert contents(store.directory) == contents(made.directory)
    assert encoded[0] == finished >= 8  # what was finished was not done again


def test_kill_while_joining(options, made, tmp_path, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparing.merge_shards, "write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(options, tmp_path, progress=False)
    with pytest.raises(UserError, match="holds no finished token store"):
        preparing.Store.open(tmp_path)
    assert contents(prepare(options, tmp_path, progress=False).directory) == contents(made.directory)


def test_damaged_shard_is_made_again(options, made, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(preparing.merge_shards, "merge", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare(options, tmp_path, progress=False)
    shard = next((tmp_path / PARTIAL_DIRECTORY).glob("*.npz"))
    shard.write_bytes(shard.read_bytes()[:100])
    assert contents(prepare(options, tmp_path, progress=False).directory) == contents(made.directory)


def test_unfinished_work_of_other_text_is_dropped(options, made, tmp_path, monkeypatch):
    other = tmp_path / "other.jsonl"
    other.write_text(
        "".join(json.dumps({"text": " ".join(document)}) + "\n" for document in make_documents(90, seed=1))
    )
    with monkeypatch.context() as patch:
        patch.setattr(preparing.merge_shards, "merge", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare(dataclasses.replace(options, sources=(str(other),)), tmp_path / "store", progress=False)
    assert contents(prepare(options, tmp_path / "store", progress=False).directory) == contents(made.directory)


def test_finished_store_is_opened_again(options, made, monkeypatch):
    monkeypatch.setattr(preparing, "_make", None)
    assert prepare(dataclasses.replace(options, workers=5), made.directory).fingerprint == made.fingerprint
    with pytest.raises(UserError, match="was made with vocab_size=400 and not 500"):
        prepare(dataclasses.replace(options, vocab_size=500), made.directory)


def test_given_tokenizer_and_its_change(options, made, tokenizer, tmp_path):
    tokenizer.save(tmp_path / "given")
    given = dataclasses.replace(options, tokenizer=str(tmp_path / "given"))
    store = prepare(given, tmp_path / "store", progress=False)
    assert store.tokenizer.fingerprint == tokenizer.fingerprint != made.tokenizer.fingerprint
    made.tokenizer.save(tmp_path / "given")
    with pytest.raises(UserError, match="made with another tokenizer"):
        prepare(given, tmp_path / "store", progress=False)


def test_separate_validation_sources(options, input_file, tmp_path):
    held_out = tmp_path / "validation.txt"
    held_out.write_text("A text of its own. It is held out.\n\nIt has two paragraphs.")
    store = prepare(
        dataclasses.replace(options, validation_sources=(str(held_out),)), tmp_path / "store", progress=False
    )
    assert store.split("train").documents == 150
    validation = store.split("validation")
    assert (validation.documents, validation.sentences) == (1, 3)
    assert store.tokenizer.decode(validation.tokens) == "A text of its own. It is held out. It has two paragraphs."


def test_tokenizer_sees_a_sample_of_the_training_documents(input_file):
    sources = open_sources([str(input_file)])
    everything = preparing.sample(sources, 0.0, 10**9)
    held_out = preparing.sample(sources, 0.2, 10**9)
    few = preparing.sample(sources, 0.2, 2000)
    assert set(few) < set(held_out) < set(everything)
    assert 2000 <= sum(map(len, few)) < 5000
    assert preparing.sample(sources, 0.2, 2000) == few
    documents = {"\n\n".join(document.paragraphs): document for document in sources[0].documents()}
    for document in documents.values():
        if shards.is_validation(document, 0.2):
            assert document.paragraphs[0] not in held_out


def test_byte_level_tokenizers_keep_blanks_and_line_breaks():
    document = Document("", ["One here. Two there.", "Three."])
    assert shards.document_sentences(document, "en", "") == ["One here.", "Two there.", "Three."]
    assert shards.document_sentences(document, "en", " ") == ["One here.", " Two there.", "\nThree."]
    assert shards.document_sentences(Document("", ["a\nb", "c"]), "newline", " ") == ["a", "\nb", "\nc"]


def test_large_vocabularies_take_four_bytes(tokenizer):
    assert shards.token_dtype(tokenizer).itemsize == 2

    class Large:
        vocabulary = type("V", (), {"size": 70_000})

    assert shards.token_dtype(Large()).itemsize == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation_fraction": 0.0}, "The validation split is empty: validation_fraction=0.0 took none of the 150"),
        ({"validation_fraction": 1.5}, "validation_fraction is 1.5"),
        ({"workers": -1}, "workers is -1"),
        ({"language": "Klingon"}, "'Klingon' is not a language"),
        ({"sources": ("nowhere/*.txt",)}, "No files match 'nowhere"),
        ({"text_field": "body"}, "has no field 'body' but text"),
        ({"tokenizer": "nowhere"}, "No tokenizer at nowhere"),
        ({"documents": "words"}, "documents is 'words': give one of files, blank_lines, lines"),
    ],
)
def test_bad_options_are_named(options, changes, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        prepare(dataclasses.replace(options, **changes), tmp_path, progress=False)
    assert "\n" not in str(caught.value)


def test_training_split_may_not_be_empty(options, tmp_path, tokenizer):
    tokenizer.save(tmp_path / "given")
    everything = dataclasses.replace(options, validation_fraction=1 - 2**-50, tokenizer=str(tmp_path / "given"))
    with pytest.raises(UserError, match="The training split is empty"):
        prepare(everything, tmp_path / "store", progress=False)


@pytest.mark.parametrize("language", ["nepali", "mixed"])
def test_real_text_survives(data_dir, tmp_path, language):
    names = {"nepali": "nepali_news/nepali_news.jsonl.gz", "mixed": "english/validation.jsonl.gz"}
    (source,) = open_sources([str(data_dir / names[language])])
    some = [document for document, _ in zip(source.documents(), range(12), strict=False)]
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps({"text": "\n\n".join(document.paragraphs)}) + "\n" for document in some))
    options = PrepareOptions(
        sources=(str(path),), vocab_size=600, model_type="bpe", validation_fraction=0.3, normalization="identity",
        language="ne" if language == "nepali" else "en", workers=1,
    )  # fmt: skip
    store = prepare(options, tmp_path / "store", progress=False)
    decoded = {
        store.tokenizer.decode(store.split(name).document(index))
        for name in ("train", "validation")
        for index in range(store.split(name).documents)
    }
    assert decoded == {" ".join(" ".join(document.paragraphs).split()) for document in some}


def test_script_prints_what_it_made(input_file, tmp_path):
    command = [
        sys.executable,
        "-m",
        "experiments.prepare",
        f"--input={input_file.parent}/*.json{{l,l.gz}}",
    ]
    command += [f"--output={tmp_path}/store", "--vocab_size=400", "--model_type=bpe", "--validation_fraction=0.2"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    for word in ("train:", "validation:", "tokens per word", "0.00% unknown", "500 ids", f"{tmp_path}/store"):
        assert word in done.stdout
    failed = subprocess.run(
        [*command, "--text_field=body"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert failed.returncode == 2
    assert failed.stderr.strip().split("\n")[-1].startswith("error: The store") and "Traceback" not in failed.stderr


def test_shard_belongs_to_its_text(tokenizer, tmp_path):
    recipe = shards.Recipe("en", 0.0, tmp_path)
    unit = shards.Unit(0, None, [Document("a", ["The river runs."])])
    assert shards.finished(unit, recipe) is None
    counts = shards.encode(unit, recipe, tokenizer)
    assert shards.finished(unit, recipe) == counts
    assert shards.finished(unit._replace(documents=[Document("a", ["The river."])]), recipe) is None
    assert shards.finished(unit._replace(split="validation"), recipe) is None


def test_one_text_file_is_told_of_its_lines_before_anything_is_made(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("\n".join(f"This is the text of line {number}." for number in range(400)))
    options = PrepareOptions(sources=(str(tmp_path / "a.txt"),), vocab_size=300, workers=1, sentinels=0)
    with pytest.raises(UserError, match=r"validation split is empty: .* none of the 1 documents; .* documents=lines"):
        prepare(options, tmp_path / "store", progress=False)
    assert not (tmp_path / "store" / "tokenizer").exists()
    store = prepare(dataclasses.replace(options, documents="lines"), tmp_path / "store", progress=False)
    assert len(store.split("train").document_starts) > 300


def test_a_store_of_the_option_s_old_name_is_read(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(f"This is the text of line {number}." for number in range(400)))
    options = PrepareOptions(
        sources=(str(tmp_path / "a.txt"),), vocab_size=300, workers=1, sentinels=0, documents="blank_lines"
    )
    prepare(options, tmp_path / "store", progress=False)
    file = tmp_path / "store" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["options"]["blank_lines"] = {"blank_lines": "documents"}[manifest["options"].pop("documents")]
    file.write_text(json.dumps(manifest))
    prepare(options, tmp_path / "store", progress=False)
    with pytest.raises(UserError, match="was made with documents='blank_lines' and not 'lines'"):
        prepare(dataclasses.replace(options, documents="lines"), tmp_path / "store", progress=False)
