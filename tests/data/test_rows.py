"""Labelled examples from tables, JSON lines, zip archives, SQuAD's JSON and TFDS; and what is wrong with them."""

import gzip
import json
import zipfile

import pyarrow
import pyarrow.parquet
import pytest

from plmjax.data.examples.rows import Row, read_rows
from plmjax.errors import UserError


def fields(source, *columns):
    return [dict(row.fields) for row in read_rows(str(source), columns)]


def test_a_tsv_has_no_quotes(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('\ufeffsentence\tlabel\r\n"so\t1\r\n\r\nit\'s 5"\t0\r\n', encoding="utf-8", newline="")
    assert fields(path) == [{"sentence": '"so', "label": "1"}, {"sentence": "it's 5\"", "label": "0"}]
    assert [row.place for row in read_rows(str(path))] == [f"{path}:2", f"{path}:4"]


def test_columns_are_named_where_there_is_no_header(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("good film\t1\n")
    assert fields(path, "sentence", "label") == [{"sentence": "good film", "label": "1"}]
    with pytest.raises(UserError, match=r"holds no example"):
        read_rows(str(path))  # its only line would be the header


def test_a_csv_may_have_quotes_and_line_breaks_in_them(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('q,a\n"one, or\n""two""?",1\nthree?,2\n')
    assert fields(path) == [{"q": 'one, or\n"two"?', "a": "1"}, {"q": "three?", "a": "2"}]


def test_json_lines_keep_their_values(tmp_path):
    line = json.dumps({"endings": ["a", "b"], "label": 1})
    (tmp_path / "a.jsonl").write_text(f"{line}\n\n{line}\n")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(line)
    assert fields(tmp_path / "*.jsonl*") == [{"endings": ["a", "b"], "label": 1}] * 3
    assert [row.place for row in read_rows(str(tmp_path / "a.jsonl"))] == [
        f"{tmp_path / 'a.jsonl'}:1",
        f"{tmp_path / 'a.jsonl'}:3",
    ]


def test_a_zip_gives_its_json_lines_by_name(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/b.jsonl", '{"n": 2}\n{"n": 3}\n')
        archive.writestr("data/a.jsonl", '{"n": 1}')
        archive.writestr("__MACOSX/data/._a.jsonl", b"\x00\xff")
        archive.writestr("data/readme.txt", "no example")
    assert fields(path) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert read_rows(str(path))[2].place == f"{path}/data/b.jsonl:2"


def test_squad_is_flattened(tmp_path):
    answers = [{"text": "blue", "answer_start": 7}, {"text": "the blue", "answer_start": 3}]
    paragraph = {"context": "It was the blue one.", "qas": [{"id": "1", "question": "Which?", "answers": answers}]}
    paragraph["qas"].append({"id": "2", "question": "Why?", "answers": [], "is_impossible": True})
    (tmp_path / "v2.json").write_text(json.dumps({"data": [{"title": "T", "paragraphs": [paragraph]}]}))
    first, second = fields(tmp_path / "v2.json")
    assert first["answers"] == ["blue", "the blue"] and first["answer_starts"] == [7, 3]
    assert (first["title"], first["context"], first["question"]) == ("T", "It was the blue one.", "Which?")
    assert second["answers"] == [] and second["id"] == "2"
    flat = [{"id": "1", "context": "c", "question": "q", "answers": {"text": ["x"], "answer_start": [0]}}]
    (tmp_path / "flat.json").write_text(json.dumps(flat))
    assert fields(tmp_path / "flat.json")[0]["answers"] == ["x"]
    (tmp_path / "data.json").write_text(json.dumps({"version": "2", "data": flat}))
    assert fields(tmp_path / "data.json") == fields(tmp_path / "flat.json")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", b"q\ta\nx\t1\nonly one\n", r"a\.tsv:3 has 1 columns, not the 2 of q, a"),
        ("a.tsv", b"q\ta\n", r"a\.tsv holds no example"),
        ("a.tsv", b"q\ta\ncaf\xe9\t1\n", r"a\.tsv is not UTF-8: byte 7 is 0xe9"),
        ("a.csv", b'q,a\n"open,1\n', r"a\.csv:2 can't be read as a table"),
        ("a.jsonl", b'{"q": 1}\n{"q"\n', r"a\.jsonl:2 is not JSON"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl:1 is a JSON list, not an object"),
        ("a.jsonl.gz", b"no gzip", r"a\.jsonl\.gz is not a complete gzip file"),
        ("a.zip", b"no zip", r"a\.zip is not a complete zip file"),
        ("a.json", b'{"data":\n [}', r"a\.json:2 is not JSON"),
        ("a.json", b'{"rows": []}', r"a\.json is not of SQuAD's form"),
        ("a.xlsx", b"", r"a\.xlsx has an unknown suffix"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_rows(str(tmp_path / name))


def test_a_zip_with_other_text_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b.jsonl", b'{"n": "\xff"}')
    with pytest.raises(UserError, match=r"a\.zip/b\.jsonl is not UTF-8"):
        read_rows(str(tmp_path / "a.zip"))


def test_sources_that_are_none_are_refused(tmp_path):
    for source, message in (("", "No file of examples is named"), (str(tmp_path / "none.tsv"), "No files match")):
        with pytest.raises(UserError, match=message):
            read_rows(source)


def test_a_field_that_is_not_there_is_named_with_the_others():
    row = Row({"text": "x", "id": 1}, "a.jsonl:7")
    assert row["text"] == "x"
    with pytest.raises(UserError, match=r"a\.jsonl:7 has no field 'sentence' but text, id"):
        row["sentence"]


@pytest.fixture(scope="module")
def tfds_builder(tmp_path_factory):
    """A tiny TFDS data set of labelled examples, built without a download."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="examples from TFDS need tensorflow-datasets")
    pytest.importorskip("array_record", reason="TFDS without TensorFlow needs array_record")
    directory = tmp_path_factory.mktemp("tfds")

    class PlmjaxTinyLabels(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = directory

        def _info(self):
            features = {
                "sentence": tfds.features.Text(),
                "endings": tfds.features.Sequence(tfds.features.Text()),
                "label": tfds.features.ClassLabel(names=["negative", "positive"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features), description="Tiny labels."
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            yield 0, {"sentence": "पाठ", "endings": ["a", "b"], "label": "positive"}

    return directory


def test_tfds_gives_python_values(tfds_builder):
    from plmjax.data.sources.tfds import read_tfds

    (row,) = read_tfds("tfds:plmjax_tiny_labels:train", str(tfds_builder))
    assert row == {"sentence": "पाठ", "endings": ["a", "b"], "label": 1}
    assert type(row["label"]) is int
    with pytest.raises(UserError, match=r"leave out \?sentence"):
        list(read_tfds("tfds:plmjax_tiny_labels?sentence", str(tfds_builder)))


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
def test_a_field_may_be_as_long_as_a_document(tmp_path, suffix):
    text = "word " * 36_000
    content = f'{{"text": "{text}", "label": "a"}}\n' if suffix == ".jsonl" else f"text\tlabel\n{text}\ta\n"
    file = tmp_path / f"long{suffix}"
    file.write_text(content.replace("\t", "," if suffix == ".csv" else "\t"))
    assert [len(row["text"]) for row in read_rows(str(file))] == [len(text)]


def test_parquet_gives_its_columns(tmp_path):
    table = pyarrow.table({"text": ["one", "two"], "label": [0, None], "tags": [["O"], ["B-X", "O"]]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    rows = read_rows(str(tmp_path / "a.parquet"))
    assert [row.fields for row in rows] == [
        {"text": "one", "label": 0, "tags": ["O"]},
        {"text": "two", "label": None, "tags": ["B-X", "O"]},
    ]
    assert rows[1].place == f"{tmp_path}/a.parquet: row 2"
    (tmp_path / "b.parquet").write_text("none")
    with pytest.raises(UserError, match="b.parquet is not a Parquet file"):
        read_rows(str(tmp_path / "b.parquet"))
