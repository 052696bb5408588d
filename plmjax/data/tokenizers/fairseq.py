"""SentencePiece under fairseq's ids: XLM-RoBERTa's, mBART's and mBART-50's `sentencepiece.bpe.model`.

fairseq puts <s>, <pad>, </s> and <unk> first, then the model's pieces, then a token for each language, then <mask>.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as protos

from plmjax.data.tokenizers.base import Encoding, Tokenizer, extra_metadata
from plmjax.data.tokenizers.folder import Folder, tokens_behind
from plmjax.data.tokenizers.sentencepiece import encoding_of_proto
from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.errors import UserError

MODEL_FILE = "sentencepiece.bpe.model"
FIRST = ("<s>", "<pad>", "</s>", "<unk>")
OWN_FIRST = ("<unk>", "<s>", "</s>")  # of the model itself
MASK = "<mask>"
NORMAL, UNKNOWN, CONTROL = 1, 2, 3  # ModelProto.SentencePiece.Type

# Liu et al. 2020, Table 1, in the order of the released vocabulary; and the languages that Tang et al. 2020 added.
CC25 = (
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN", "hi_IN", "it_IT", "ja_XX",
    "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP", "nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN",
    "zh_CN",
)  # fmt: skip
ML50 = (
    *CC25,
    "af_ZA", "az_AZ", "bn_IN", "fa_IR", "he_IL", "hr_HR", "id_ID", "ka_GE", "km_KH", "mk_MK", "ml_IN", "mn_MN",
    "mr_IN", "pl_PL", "ps_AF", "pt_XX", "sv_SE", "sw_KE", "ta_IN", "te_IN", "th_TH", "tl_XX", "uk_UA", "ur_PK",
    "xh_ZA", "gl_ES", "sl_SI",
)  # fmt: skip
LANGUAGES_OF = {"XLMRobertaTokenizer": (), "MBartTokenizer": CC25, "MBart50Tokenizer": ML50}


class FairseqTokenizer(Tokenizer):
    """A SentencePiece model whose piece i has the id i + 1.

    Args:
        model: the model's file.
        languages: the tokens behind the last piece, before <mask>.
        extra_tokens: names of special tokens behind <mask>.
        added_words: those of these names that every text is cut at, with their ids.
    """

    kind = "fairseq"

    def __init__(
        self,
        model: bytes,
        languages: Sequence[str] = (),
        extra_tokens: Sequence[str] = (),
        added_words: Mapping[str, int] = MappingProxyType({}),
    ):
        self._model, self.added_words = model, dict(added_words)
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.languages, self._extra_tokens = tuple(languages), tuple(extra_tokens)
        own = [self._processor.id_to_piece(i) for i in range(self._processor.get_piece_size())]
        self._pieces = [*FIRST, *own[len(OWN_FIRST) :], *self.languages, MASK, *self._extra_tokens]
        size = len(self._pieces)
        mask = size - 1 - len(self._extra_tokens)
        roles = {"bos": 0, "pad": 1, "eos": 2, "unk": 3, "mask": mask}
        words = set(self.added_words.values())
        appended = [token for token in range(mask - len(self.languages), size) if token not in words]
        starts = [piece.startswith("▁") for piece in self._pieces]
        self.vocabulary = make_vocabulary(size, roles, (), appended, starts, pieces=self._pieces)
        self.special_names = {i: self._pieces[i] for i in {*roles.values(), *appended}}

    def _encode(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        rows = self._processor.encode(list(texts), num_threads=-1 if threads is None else threads)
        return [_shifted(row) for row in rows]

    def _encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        encodings = [encoding_of_proto(self._processor.encode(text, return_type="proto"), text) for text in texts]
        return [encoding._replace(ids=_shifted(encoding.ids)) for encoding in encodings]

    def piece(self, token: int) -> str:
        return self._pieces[token]

    def _with_appended(self, tokens: Sequence[str]) -> "FairseqTokenizer":
        extra_tokens = (*self._extra_tokens, *tokens)
        more = FairseqTokenizer(self._model, self.languages, extra_tokens, self.added_words)
        return more.with_markers(self.markers)

    def with_tokens_of(self, folder: Folder) -> "FairseqTokenizer":
        """The tokenizer with the tokens that a model's files add behind <mask>; languages in a text are no markers."""
        extra_tokens, words = tokens_behind(folder, self._pieces)
        more = FairseqTokenizer(self._model, self.languages, extra_tokens, words)
        names = folder.markers(more.special_names.values())
        return more.with_markers([name for name in names if name not in self.languages])

    def shifted_model(self) -> bytes:
        """A model of the same pieces whose own ids are fairseq's, for libraries that count from the first piece."""
        proto = protos.ModelProto.FromString(self._model)  # type: ignore[attr-defined]
        pieces = list(proto.pieces[len(OWN_FIRST) :])
        del proto.pieces[:]
        for name in FIRST:
            proto.pieces.add(piece=name, score=0.0, type=UNKNOWN if name == "<unk>" else CONTROL)
        proto.pieces.extend(pieces)
        for name in (*self.languages, MASK, *self._extra_tokens):
            proto.pieces.add(piece=name, score=0.0, type=CONTROL)
        proto.trainer_spec.unk_id = FIRST.index("<unk>")
        return proto.SerializeToString()

    def _decode_non_special(self, ids: list[int]) -> str:
        return self._processor.decode([token - 1 for token in ids])

    def _files(self) -> dict[str, bytes]:
        return {MODEL_FILE: self._model}

    def _metadata(self) -> dict[str, object]:
        words = {"added_words": self.added_words} if self.added_words else {}
        return {"languages": list(self.languages), **extra_metadata(self._extra_tokens), **words}


def _shifted(ids: Sequence[int]) -> list[int]:
    """fairseq's ids of the model's own."""
    return [token + 1 if token else FIRST.index("<unk>") for token in ids]


def load(file: Path, folder: Folder) -> FairseqTokenizer:
    """Loads a published model; its languages are those of the class that the files beside it name.

    Raises:
        UserError: it is not such a model, or no file beside it says which of the three it is.
    """
    if folder.class_name not in LANGUAGES_OF:
        raise UserError(
            f"{file} has fairseq's ids, and no file beside it names the model: put the model's tokenizer_config.json "
            f"there (tokenizer_class {', '.join(LANGUAGES_OF)}), or its tokenizer.json."
        )
    plain = _read(file, LANGUAGES_OF[folder.class_name])
    return plain.with_tokens_of(folder)


def load_saved(directory: Path, metadata: Mapping[str, Any]) -> FairseqTokenizer:
    """Loads what `FairseqTokenizer.save` wrote."""
    file = directory / MODEL_FILE
    if not file.is_file():
        raise UserError(f"The tokenizer in {directory} is damaged: {MODEL_FILE} is missing.")
    return _read(file, metadata["languages"], metadata.get("extra_tokens", ()), metadata.get("added_words", {}))


def _read(
    file: Path,
    languages: Sequence[str],
    extra_tokens: Sequence[str] = (),
    added_words: Mapping[str, int] = MappingProxyType({}),
) -> FairseqTokenizer:
    model = file.read_bytes()
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except Exception as error:  # the binding raises several types, none of them documented
        raise UserError(f"{file} is not a SentencePiece model ({error}).") from error
    first = tuple(processor.id_to_piece(i) for i in range(min(len(OWN_FIRST), processor.get_piece_size())))
    if first != OWN_FIRST:
        raise UserError(
            f"{file} begins with the pieces {', '.join(first)}, where fairseq's models have {', '.join(OWN_FIRST)}: "
            "name it spiece.model if its ids are its own."
        )
    return FairseqTokenizer(model, languages, extra_tokens, added_words)
