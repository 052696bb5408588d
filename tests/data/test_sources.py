import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from plmjax.data.sources.base import ReadOptions, alternatives, matching_files
from plmjax.data.sources.open import open_sources, read_documents
from plmjax.errors import UserError

PARAGRAPHS = ["First paragraph,\nwrapped.", "दूसरा अनुच्छेद 😀"]
TEXT = "\ufeff" + "\r\n\r\n".join(PARAGRAPHS).replace(",\n", ",\r\n") + "\n\n \n"


def read(*names, **options):
    return list(read_documents(open_sources([str(name) for name in names], ReadOptions(**options))))


def paragraphs(*names, **options):
    return [document.paragraphs for document in read(*names, **options)]


def write_jsonl(path, records):
    lines = "".join(json.dumps(record) + "\n" for record in records)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.write(lines)
    return path


def test_text_file_is_one_document(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8", newline="")
    assert paragraphs(tmp_path / "a.txt") == [PARAGRAPHS]


def test_blank_lines_may_part_documents(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n\n\nthree\n")
    documents = read(tmp_path / "a.txt", documents="blank_lines")
    assert [document.paragraphs for document in documents] == [["one\ntwo"], ["three"]]
    assert [document.id for document in documents] == ["a.txt:1", "a.txt:5"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_json_lines(tmp_path, name):
    path = write_jsonl(tmp_path / name, [{"text": TEXT}, {"text": "  "}, {"text": "Third."}])
    documents = read(path)
    assert [document.paragraphs for document in documents] == [PARAGRAPHS, ["Third."]]
    assert [document.id for document in documents] == [f"{name}:1", f"{name}:3"]
    assert paragraphs(write_jsonl(path, [{"body": "x"}]), text_field="body") == [["x"]]


def test_parquet(tmp_path):
    table = pyarrow.table({"text": [TEXT, None, "Third."], "n": [1, 2, 3]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert paragraphs(tmp_path / "a.parquet") == [PARAGRAPHS, ["Third."]]


def test_globs_are_sorted_and_braces_understood(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.txt", "deep/a.txt", "deep/c.txt"):
        (tmp_path / name).write_text(name)
    write_jsonl(tmp_path / "d.jsonl", [{"text": "d"}])
    (tmp_path / "notes.md").write_text("not read")
    assert paragraphs(tmp_path / "**/*.{txt,jsonl}") == [["b.txt"], ["d"], ["deep/a.txt"], ["deep/c.txt"]]
    assert alternatives("x{a,b{c,d}}y") == ["xay", "xbcy", "xay", "xbdy"]
    assert matching_files(str(tmp_path / "{b,b}.txt")) == [tmp_path / "b.txt"]


def test_progress_reaches_the_total(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl.gz", [{"text": f"text {i}"} for i in range(1000)])
    (source,) = open_sources([str(path)])
    fractions = [source.done / source.total for _ in source.documents()]
    assert fractions == sorted(fractions) and fractions[-1] <= 1
    assert source.done == source.total


def test_description_is_of_the_content(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (before,) = (source.describe() for source in open_sources([str(tmp_path / "a.txt")]))
    (tmp_path / "a.txt").write_text("two")
    (after,) = (source.describe() for source in open_sources([str(tmp_path / "a.txt")]))
    assert before["sha256"] != after["sha256"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "a.txt holds no text"),
        ("a.txt", b" \n\n", "a.txt holds no text"),
        ("a.jsonl", b'{"text": ""}\n', "a.jsonl holds no text"),
        ("a.txt", b"caf\xe9 noir", r"a\.txt is not UTF-8: byte 3 is 0xe9"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\xff"}\n', r"a\.jsonl is not UTF-8: byte 24 is 0xff"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"a\.jsonl:2 is not JSON"),
        ("a.jsonl", b'{"body": "x", "id": 3}\n', "a.jsonl:1 has no field 'text' but body, id: name the field"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1 has no field 'text' but a list"),
        ("a.jsonl", b'{"text": 5}\n', "a.jsonl:1: the field 'text' is 5, not text"),
        ("a.jsonl.gz", b"not gzip", "not a complete gzip file"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 999, mtime=0)[:-20], "not a complete gzip file"),
        ("a.parquet", b"PAR1", "not a Parquet file"),
        ("a.csv", b"x", r"a\.csv has an unknown suffix: sources are \.txt"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_missing_column_is_named(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"body": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="no column 'text' but body"):
        read(tmp_path / "a.parquet")


def test_no_match_is_named(tmp_path):
    with pytest.raises(UserError, match=r"No files match '.*\*\.txt'"):
        read(tmp_path / "*.txt")
    with pytest.raises(UserError, match=r"is a folder, so add /\*\*/\*\.txt"):
        read(tmp_path)
    with pytest.raises(UserError, match="No source is named"):
        open_sources([])


# --- TFDS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tfds_builder(tmp_path_factory):
    """A data set of two text features and two splits, generated and registered in this process."""
    tfds = pytest.importorskip("tensorflow_datasets")
    directory = tmp_path_factory.mktemp("plmjax_tiny_texts")

    class PlmjaxTinyTexts(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = directory

        def _info(self):
            features = tfds.features.FeaturesDict({"text": tfds.features.Text(), "title": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, features=features, description="Tiny texts.")

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples("train", 5), "test": self._generate_examples("test", 2)}

        def _generate_examples(self, split, count):
            for i in range(count):
                yield i, {"text": f"{split} पाठ {i}.\n\nMore.", "title": f"title {i}"}

    return directory


def test_tfds_without_tensorflow(tfds_builder):
    import sys

    documents = read("tfds:plmjax_tiny_texts", tfds_data_dir=str(tfds_builder))
    assert sorted(d.paragraphs[0] for d in documents) == [f"train पाठ {i}." for i in range(5)]
    assert all(d.paragraphs[1] == "More." for d in documents)
    assert "tensorflow" not in sys.modules
    titles = paragraphs("tfds:plmjax_tiny_texts:test?title", tfds_data_dir=str(tfds_builder))
    assert sorted(titles) == [["title 0"], ["title 1"]]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tfds:plmjax_tiny_texts:nosplit", "no split 'nosplit': there are"),
        ("tfds:plmjax_tiny_texts?label", "'label' is not a text feature; the text features are text, title"),
        ("tfds:plmjax_no_such_set", "can't be prepared by TFDS"),
        ("tfds:", "names no TFDS data set"),
    ],
)
def test_bad_tfds_names(tfds_builder, spec, message):
    with pytest.raises(UserError, match=message):
        read(spec, tfds_data_dir=str(tfds_builder))


def test_a_file_that_links_reach_many_times_is_read_once(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("one")
    (tmp_path / "texts" / "b.txt").symlink_to(tmp_path / "texts" / "a.txt")
    (tmp_path / "texts" / "again").symlink_to(tmp_path / "texts")  # which a glob follows 40 times
    assert [path.name for path in matching_files(f"{tmp_path}/**/*.txt")] == ["a.txt"]


@pytest.mark.parametrize("second", ["a.txt", "*.txt", "./a.txt", "link.txt"])
def test_a_file_that_is_named_twice_is_refused(second, tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    with pytest.raises(UserError, match=r"The sources name .*\.txt twice: name each file once"):
        open_sources([f"{tmp_path}/a.txt", f"{tmp_path}/{second}"])


def test_each_line_may_be_a_document(tmp_path):
    (tmp_path / "a.txt").write_text("one two\n\nthree\r\n \nfour")
    documents = read(tmp_path / "a.txt", documents="lines")
    assert [(document.id, document.paragraphs) for document in documents] == [
        ("a.txt:1", ["one two"]), ("a.txt:3", ["three"]), ("a.txt:5", ["four"])
    ]  # fmt: skip


def test_a_null_text_is_no_document_in_any_format(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": null}\n')
    pyarrow.parquet.write_table(pyarrow.table({"text": ["one", None]}), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        assert [document.paragraphs for document in read(tmp_path / name)] == [["one"]]
