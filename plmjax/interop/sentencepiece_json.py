"""A SentencePiece model as the `tokenizers` library's tokenizer.json, with the same ids.

The library reads Unigram and BPE pieces, byte fallback and SentencePiece's compiled normalisation; this module puts
them in its form.
"""

from typing import Any

import tokenizers
from sentencepiece import sentencepiece_model_pb2 as protos
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from plmjax.errors import UserError

UNIGRAM, BPE = 1, 2  # TrainerSpec.ModelType
BYTE, NORMAL, USER_DEFINED = 6, 1, 4  # ModelProto.SentencePiece.Type
BLANK = "▁"


def convert(
    model: bytes, special: dict[int, str], before: normalizers.Normalizer | None = None
) -> tokenizers.Tokenizer:
    """The tokenizer of a serialised model.

    Args:
        model: the file's content.
        special: name of each special id; those from the model's size on (sentinels) follow without a gap.
        before: what is done to a text before the model's own normalisation.

    Raises:
        UserError: the model is of words or characters.
    """
    proto = protos.ModelProto.FromString(model)  # type: ignore[attr-defined]
    kind = proto.trainer_spec.model_type
    if kind not in (UNIGRAM, BPE):
        raise UserError(
            "The SentencePiece model splits into words or characters: only unigram and bpe can be written as "
            "tokenizer.json."
        )
    backend = tokenizers.Tokenizer(_unigram(proto) if kind == UNIGRAM else _bpe(proto))
    own = _normalizer(proto.normalizer_spec)
    backend.normalizer = own if before is None else normalizers.Sequence([before, own])
    dummy = "always" if proto.normalizer_spec.add_dummy_prefix else "never"
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement=BLANK, prepend_scheme=dummy)
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace(BLANK, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1, right=0),
        ]
    )
    # A special token takes the blanks before it with it, as plmjax's `encode(special=True)`.
    backend.add_special_tokens(
        [AddedToken(special[token], lstrip=True, normalized=False, special=True) for token in sorted(special)]
    )
    for token, name in special.items():
        if backend.token_to_id(name) != token:
            raise UserError(f"The special token {name!r} has the id {token}, which tokenizer.json can't give it.")
    return backend


def _unigram(proto: Any) -> models.Unigram:
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    return models.Unigram(pieces, unk_id=proto.trainer_spec.unk_id, byte_fallback=proto.trainer_spec.byte_fallback)


def _bpe(proto: Any) -> models.BPE:
    """SentencePiece joins the pair whose union scores highest; a merge list in the order of scores does the same."""
    ids = {piece.piece: token for token, piece in enumerate(proto.pieces)}
    ranked = sorted(
        (-piece.score, token) for token, piece in enumerate(proto.pieces) if piece.type in (NORMAL, USER_DEFINED)
    )
    merges = []
    for _, token in ranked:
        whole = proto.pieces[token].piece
        cuts = [(whole[:cut], whole[cut:]) for cut in range(1, len(whole))]
        merges += sorted(
            (pair for pair in cuts if pair[0] in ids and pair[1] in ids), key=lambda pair: (ids[pair[0]], ids[pair[1]])
        )
    unk = proto.pieces[proto.trainer_spec.unk_id].piece
    return models.BPE(
        vocab=ids, merges=merges, unk_token=unk, fuse_unk=True, byte_fallback=proto.trainer_spec.byte_fallback
    )


def _normalizer(spec: Any) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex("^ +| +$"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    return normalizers.Sequence(steps)
