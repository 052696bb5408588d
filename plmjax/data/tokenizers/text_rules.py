"""What some classes do to a text before SentencePiece sees it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from sentencepiece import sentencepiece_model_pb2 as protos
from tokenizers import PreTokenizedString, Regex, normalizers

ANY_CHARACTER = Regex(r"[\s\S]")
COMMA_COST = 100.0


@dataclass(frozen=True)
class TextRules:
    """ALBERT's and XLNet's rules; by default none.

    The authors' are google-research/albert, tokenization.py, `preprocess_text` and `encode_pieces` (zihangdai/xlnet,
    prepro_utils.py, has the same), read here as transformers' fast classes read them (convert_slow_tokenizer.py,
    `AlbertConverter`), which take off every combining mark where the authors keep vowel signs.

    Attributes:
        plain_quotes: `` and '' become ".
        strip_accents: NFKD, without combining marks.
        lower_case: whether capitals become small letters.
        numbers_apart: no piece joins a digit and the comma behind it.
    """

    plain_quotes: bool = False
    strip_accents: bool = False
    lower_case: bool = False
    numbers_apart: bool = False

    @cached_property
    def normalizer(self) -> normalizers.Normalizer | None:
        """The rules for a text, as the `tokenizers` library applies them; None for none."""
        steps: list[normalizers.Normalizer] = []
        if self.plain_quotes:
            steps += [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
        if self.strip_accents:
            steps += [normalizers.NFKD(), normalizers.StripAccents()]
        if self.lower_case:
            steps.append(normalizers.Lowercase())
        return normalizers.Sequence(steps) if steps else None

    def apply(self, text: str) -> str:
        """The text that SentencePiece sees."""
        return text if self.normalizer is None else self.normalizer.normalize_str(text)

    def with_origins(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """That text, and of each of its characters those of the given one that it stands for, (start, end)."""
        if self.normalizer is None:
            return text, [(at, at + 1) for at in range(len(text))]
        cut = PreTokenizedString(text)
        cut.normalize(self.normalizer.normalize)
        cut.split(lambda _, part: part.split(ANY_CHARACTER, "isolated"))
        splits = cut.get_splits("original", "char")
        return "".join(piece for piece, _, _ in splits), [span for _, span, _ in splits]

    def on_model(self, model: bytes) -> bytes:
        """The SentencePiece model under the rules: pieces of a digit and a comma come after all others."""
        if not self.numbers_apart:
            return model
        proto = protos.ModelProto.FromString(model)  # type: ignore[attr-defined]
        for piece in proto.pieces:
            if piece.piece.endswith(",") and piece.piece[-2:-1].isdigit():
                piece.score -= COMMA_COST
        return proto.SerializeToString()

    def metadata(self) -> dict[str, object]:
        """What tells the rules apart; nothing where there are none, so that fingerprints from before them stay."""
        return {"text_rules": asdict(self)} if self != TextRules() else {}


def rules_of(class_name: str | None, settings: Mapping[str, Any]) -> TextRules:
    """The rules of a class of `transformers` with the settings of its tokenizer_config.json."""
    lower_case, keep_accents = settings.get("do_lower_case"), bool(settings.get("keep_accents", False))
    if class_name in ("AlbertTokenizer", "XLNetTokenizer"):
        lower_case = class_name == "AlbertTokenizer" if lower_case is None else bool(lower_case)
        return TextRules(True, not keep_accents, lower_case, True)
    if class_name == "DebertaV2Tokenizer":
        return TextRules(lower_case=bool(lower_case))
    return TextRules()
