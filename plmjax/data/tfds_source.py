"""TensorFlow data sets as a source, through random access to ArrayRecord files; TensorFlow itself is not needed."""

import re
from collections.abc import Iterator

from plmjax.data.sources import Document, ReadOptions, Source, split_paragraphs
from plmjax.errors import UserError

SPEC = re.compile(r"tfds:(?P<name>[^:?]+)(?::(?P<split>[^?]+))?(?:\?(?P<feature>.+))?")


class TfdsSource(Source):
    """`tfds:NAME[/CONFIG][:SPLIT][?FEATURE]`; the feature may be left out where one is "text" or only one is text."""

    def __init__(self, spec: str, options: ReadOptions):
        matched = SPEC.fullmatch(spec)
        if not matched:
            raise UserError(f"{spec!r} names no TFDS data set: write tfds:NAME[/CONFIG][:SPLIT][?FEATURE].")
        self.spec = spec
        self._name = matched["name"]
        self._split = matched["split"] or "train"
        self._builder = self._prepared(options)
        self._feature = self._text_feature(matched["feature"])
        self._source = self._open()
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

    def _prepared(self, options: ReadOptions):
        try:
            import tensorflow_datasets as tfds
        except ImportError as error:
            raise UserError(
                f"{self.spec} needs tensorflow-datasets: pip install tensorflow-datasets array_record "
                "importlib_resources."
            ) from error
        try:
            builder = tfds.builder(self._name, data_dir=options.tfds_data_dir, file_format="array_record")
            builder.download_and_prepare()
        except Exception as error:  # TFDS raises many types for a name, a download and a missing package
            first_line = str(error).strip().split("\n")[0]
            raise UserError(f"{self.spec} can't be prepared by TFDS ({type(error).__name__}: {first_line}).") from error
        return builder

    def _text_feature(self, named: str | None) -> str:
        import tensorflow_datasets as tfds

        features = self._builder.info.features
        texts = [name for name, feature in features.items() if isinstance(feature, tfds.features.Text)]
        if named is not None and named not in texts:
            raise UserError(f"{self.spec}: {named!r} is no text feature; there are {', '.join(texts) or 'none'}.")
        chosen = named or ("text" if "text" in texts else texts[0] if len(texts) == 1 else None)
        if chosen is None:
            raise UserError(
                f"{self.spec} has the text features {', '.join(texts) or '(none)'}: choose one with ?FEATURE."
            )
        return chosen

    def _open(self):
        try:
            return self._builder.as_data_source(split=self._split)
        except (ValueError, KeyError) as error:
            splits = ", ".join(self._builder.info.splits)
            raise UserError(f"{self.spec} has no split {self._split!r}: there are {splits}.") from error
