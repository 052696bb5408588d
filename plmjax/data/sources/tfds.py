"""TensorFlow data sets as a source, through random access to ArrayRecord files; TensorFlow itself is not needed."""

import re
from collections.abc import Iterator
from typing import Any

from plmjax.data.sources.base import Document, ReadOptions, Source, split_paragraphs
from plmjax.errors import UserError

SPEC = re.compile(r"tfds:(?P<name>[^:?]+)(?::(?P<split>[^?]+))?(?:\?(?P<feature>.+))?")


class TfdsSource(Source):
    """`tfds:NAME[/CONFIG][:SPLIT][?FEATURE]`; FEATURE may be left out where it is "text" or the only text."""

    def __init__(self, spec: str, options: ReadOptions):
        matched = _parse(spec)
        self.spec = spec
        self._name = matched["name"]
        self._builder = _prepared(spec, matched["name"], options.tfds_data_dir)
        self._feature = self._text_feature(matched["feature"])
        self._source = _open(spec, self._builder, matched["split"] or "train")
        self.total = len(self._source)

    def documents(self) -> Iterator[Document]:
        for row in range(self.total):
            self.done = row
            text = self._source[row][self._feature]
            text = text.decode("utf-8") if isinstance(text, bytes) else str(text)
            if paragraphs := split_paragraphs(text):
                yield Document(f"{self._name}:{row}", paragraphs)
        self.done = self.total

    def describe(self) -> dict[str, object]:
        info = self._builder.info
        return {"name": self.spec, "dataset": info.full_name, "feature": self._feature, "rows": self.total}

    def _text_feature(self, named: str | None) -> str:
        import tensorflow_datasets as tfds  # here, as it takes seconds and is optional

        features = self._builder.info.features
        texts = [name for name, feature in features.items() if isinstance(feature, tfds.features.Text)]
        if named is not None and named not in texts:
            raise UserError(
                f"{self.spec}: {named!r} is not a text feature; the text features are {', '.join(texts) or 'none'}."
            )
        chosen = named or ("text" if "text" in texts else texts[0] if len(texts) == 1 else None)
        if chosen is None:
            raise UserError(
                f"{self.spec} has the text features {', '.join(texts) or '(none)'}: choose one with ?FEATURE."
            )
        return chosen


def read_tfds(spec: str, data_dir: str | None = None) -> Iterator[dict[str, Any]]:
    """The examples of `tfds:NAME[/CONFIG][:SPLIT]`, bytes as text and numpy's numbers and arrays as Python's.

    Raises:
        UserError: TFDS can't prepare the data set, the data set has no such split, or `spec` names a feature.
    """
    matched = _parse(spec)
    if matched["feature"]:
        raise UserError(f"{spec} names a feature, but examples have all features: leave out ?{matched['feature']}.")
    for row in _open(spec, _prepared(spec, matched["name"], data_dir), matched["split"] or "train"):
        yield _plain(row)


def _parse(spec: str) -> re.Match[str]:
    matched = SPEC.fullmatch(spec)
    if not matched:
        raise UserError(f"{spec!r} names no TFDS data set: write tfds:NAME[/CONFIG][:SPLIT][?FEATURE].")
    return matched


def _prepared(spec: str, name: str, data_dir: str | None) -> Any:
    try:
        import tensorflow_datasets as tfds  # here, as it takes seconds and is optional
    except ImportError as error:
        raise UserError(
            f"{spec} needs tensorflow-datasets: pip install tensorflow-datasets array_record importlib_resources."
        ) from error
    try:
        builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises many types for a name, a download and a missing package
        first_line = str(error).strip().split("\n")[0]
        raise UserError(f"{spec} can't be prepared by TFDS ({type(error).__name__}: {first_line}).") from error
    return builder


def _open(spec: str, builder: Any, split: str) -> Any:
    try:
        return builder.as_data_source(split=split)
    except (ValueError, KeyError) as error:
        splits = ", ".join(builder.info.splits)
        raise UserError(f"{spec} has no split {split!r}: there are {splits}.") from error


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return [_plain(part) for part in value] if isinstance(value, list) else value
