"""The tokenizers of BART, mBART, mBART-50, XLM-RoBERTa and Marian, both ways, beside those of transformers."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.load import load_tokenizer, train_sentencepiece
from plmjax.errors import UserError
from plmjax.interop.registry import FAMILIES
from plmjax.interop.tokenizer_files import save_tokenizer
from tests.interop.reference import corpus

transformers = pytest.importorskip("transformers")
sentencepiece = pytest.importorskip("sentencepiece")

TEXTS = ["The cat sat on the mat.", "  two  blanks   and an end  ", "Ünïcödé: 日本語, ½ and ﬁne!", "", "a"]
CORPUS = corpus()
KINDS = {"MBartTokenizer": "mbart", "MBart50Tokenizer": "mbart", "XLMRobertaTokenizer": "xlm-roberta"}


def trained(texts: list[str], **settings: Any) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=380, minloglevel=2, **settings
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def pieces() -> bytes:
    """With the first three pieces that fairseq's models have: <unk>, <s>, </s>."""
    return trained(CORPUS)


def assert_same_ids(ours: Tokenizer, theirs: Any) -> None:
    for text in TEXTS + CORPUS[:20]:
        assert theirs(text, add_special_tokens=False)["input_ids"] == ours.encode(text), text


@pytest.mark.parametrize("kind", KINDS)
def test_fairseq(kind: str, pieces: bytes, tmp_path: Path) -> None:
    (tmp_path / "sentencepiece.bpe.model").write_bytes(pieces)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    ours = load_tokenizer(tmp_path)
    slow = getattr(transformers, kind)(str(tmp_path / "sentencepiece.bpe.model"))
    assert_same_ids(ours, slow)
    save_tokenizer(ours, tmp_path / "out", FAMILIES[KINDS[kind]].tokenizer, 64)
    fast = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert type(fast).__name__ == f"{kind}Fast"
    assert_same_ids(ours, fast)
    again = getattr(transformers, kind).from_pretrained(tmp_path / "out")
    v = ours.vocabulary
    for theirs in (slow, again, fast):
        assert len(theirs) == v.size and theirs.mask_token_id == v.mask
        assert (theirs.pad_token_id, theirs.eos_token_id, theirs.unk_token_id) == (1, 2, 3)
        for token in (v.size - 1, v.size - 2, 4, 100):
            assert theirs.convert_ids_to_tokens(token) == ours.piece(token)
        whole = ours.encode(CORPUS[0])
        assert theirs(CORPUS[0])["input_ids"] == framed(kind, ours, whole)
        assert theirs.decode(whole) == ours.decode(whole) == CORPUS[0]
    back = load_tokenizer(tmp_path / "out")
    assert back.fingerprint == ours.fingerprint
    assert not v.word_start[v.size - 3] and v.is_special[[0, 1, 2, 3, v.size - 1]].all() and not v.is_special[4]


def framed(kind: str, ours: Tokenizer, ids: list[int]) -> list[int]:
    """What each class makes of an English text."""
    english = {name: token for token, name in ours.special_names.items()}.get("en_XX")
    return {
        "MBartTokenizer": [*ids, 2, english],
        "MBart50Tokenizer": [english, *ids, 2],
        "XLMRobertaTokenizer": [0, *ids, 2],
    }[kind]


def test_languages_have_their_released_places(pieces: bytes, tmp_path: Path) -> None:
    (tmp_path / "sentencepiece.bpe.model").write_bytes(pieces)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mbart"}))
    names = load_tokenizer(tmp_path).special_names
    assert (names[381], names[384], names[405], names[406]) == ("ar_AR", "en_XX", "zh_CN", "<mask>")


@pytest.mark.parametrize("beside", [None, {"model_type": "camembert"}])
def test_ids_that_nothing_tells(beside: dict[str, str] | None, pieces: bytes, tmp_path: Path) -> None:
    (tmp_path / "sentencepiece.bpe.model").write_bytes(pieces)
    if beside:
        (tmp_path / "config.json").write_text(json.dumps(beside))
    with pytest.raises(UserError, match="no file beside it names the model.*MBart50Tokenizer"):
        load_tokenizer(tmp_path)


def test_a_model_of_another_order_is_no_fairseq_model(tmp_path: Path) -> None:
    ours = trained(CORPUS, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    (tmp_path / "sentencepiece.bpe.model").write_bytes(ours)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mbart"}))
    with pytest.raises(UserError, match="begins with the pieces <pad>, </s>, <unk>"):
        load_tokenizer(tmp_path)


@pytest.fixture
def marian(pieces: bytes, tmp_path: Path) -> Path:
    """A directory as Marian's: pieces of both sides in one vocabulary, padding last."""
    target = trained([text.replace("The cat", "Die Katze").lower() for text in CORPUS])
    directory = tmp_path / "marian"
    directory.mkdir()
    (directory / "source.spm").write_bytes(pieces)
    (directory / "target.spm").write_bytes(target)
    vocabulary = ["</s>", "<unk>", ">>de<<", ">>fr<<"]
    for model in (pieces, target):
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        vocabulary += [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]
    vocabulary = [*dict.fromkeys(vocabulary), "<pad>"]
    (directory / "vocab.json").write_text(json.dumps({piece: token for token, piece in enumerate(vocabulary)}))
    return directory


def test_marian(marian: Path, tmp_path: Path) -> None:
    ours = load_tokenizer(marian)
    save_tokenizer(ours, tmp_path / "out", FAMILIES["marian"].tokenizer, 512)
    for theirs in (
        transformers.MarianTokenizer.from_pretrained(marian),
        transformers.AutoTokenizer.from_pretrained(tmp_path / "out"),
    ):
        assert isinstance(theirs, transformers.MarianTokenizer)
        assert (
            len(theirs) == ours.vocabulary.size == ours.vocabulary.pad + 1
            and theirs.pad_token_id == ours.vocabulary.pad
        )
        for text in [*TEXTS, *CORPUS[:20], ">>de<< The cat sat.", ">>xx<< The cat sat."]:
            assert theirs(text)["input_ids"] == [*ours.encode(text), 0], text
            targets = theirs(text_target=text)["input_ids"]
            assert targets == [*ours.encode_targets([text])[0], 0], text
            if not text.startswith(">>"):  # they write the code of a language as text
                assert theirs.decode(targets, skip_special_tokens=True) == ours.decode(targets), text
    assert ours.encode(">>de<< a")[0] == 2 and ours.encode("Die Katze") != ours.encode_targets(["Die Katze"])[0]
    assert load_tokenizer(tmp_path / "out").fingerprint == ours.fingerprint


def test_marian_needs_its_three_files(marian: Path) -> None:
    (marian / "target_vocab.json").write_text("{}")
    with pytest.raises(UserError, match="share one vocabulary"):
        load_tokenizer(marian)
    (marian / "vocab.json").unlink()
    with pytest.raises(UserError, match="lacks vocab.json"):
        load_tokenizer(marian)


def test_bart(tmp_path: Path) -> None:
    """BART's byte-level BPE, in the order of its released ids: <s> <pad> </s> <unk> ... <mask>."""
    import tokenizers

    trained = tokenizers.ByteLevelBPETokenizer()
    first = ["<s>", "<pad>", "</s>", "<unk>"]
    trained.train_from_iterator(CORPUS, vocab_size=330, special_tokens=[*first, "<mask>"], show_progress=False)
    trained.save_model(str(tmp_path))
    ours = load_tokenizer(tmp_path)
    v = ours.vocabulary
    assert (v.bos, v.pad, v.eos, v.unk, v.mask) == (0, 1, 2, 3, 4)
    save_tokenizer(ours, tmp_path / "out", FAMILIES["bart"].tokenizer, 64)
    fast = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert isinstance(fast, transformers.BartTokenizerFast)
    slow = transformers.BartTokenizer.from_pretrained(tmp_path / "out")
    a, b = ours.encode("The cat"), ours.encode("a mat")
    for theirs in (fast, slow):
        assert_same_ids(ours, theirs)
        assert theirs("The cat")["input_ids"] == [0, *a, 2]
        assert theirs("The cat", "a mat")["input_ids"] == [0, *a, 2, 2, *b, 2]
        assert theirs("The <mask> sat")["input_ids"] == [0, *ours.encode("The <mask> sat", special=True), 2]
        assert theirs.decode(a) == ours.decode(a) == "The cat"
    again = load_tokenizer(tmp_path / "out")
    assert [again.encode(text) for text in TEXTS] == [ours.encode(text) for text in TEXTS]
    assert (again.vocabulary.bos, again.vocabulary.eos, again.vocabulary.mask) == (0, 2, 4)


@pytest.mark.parametrize(("model_type", "opened"), [("bart", True), ("mbart", False), ("marian", False)])
def test_pieces_that_were_trained_here(model_type: str, opened: bool, tmp_path: Path) -> None:
    ours = train_sentencepiece(CORPUS, tmp_path / "trained", vocab_size=380, sentinels=0)
    save_tokenizer(ours, tmp_path / "out", FAMILIES[model_type].tokenizer, 64)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert_same_ids(ours, theirs)
    v = ours.vocabulary
    assert theirs("the cat")["input_ids"] == [*([v.bos] if opened else []), *ours.encode("the cat"), v.eos]
    assert load_tokenizer(tmp_path / "out").fingerprint == ours.fingerprint
