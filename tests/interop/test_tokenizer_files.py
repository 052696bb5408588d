"""Tokenizers as transformers loads them: the same ids, special tokens in their places."""

from pathlib import Path

import pytest

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.load import load_tokenizer, train_sentencepiece
from plmjax.interop.registry import FAMILIES
from plmjax.interop.tokenizer_files import save_tokenizer
from tests.interop.reference import corpus

transformers = pytest.importorskip("transformers")

TEXTS = [
    "The cat sat on the mat.",
    "  two  blanks   and an end  ",
    "Ünïcödé: 日本語, ½ and ﬁne, 🙂!",
    "tabs\tand\nline breaks",
    "",
    "a",
    'the-cat\'s "mat" (1,234.50)',
]
CORPUS = corpus()


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def sentencepiece(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return train_sentencepiece(
        CORPUS, tmp_path_factory.mktemp("sp"), vocab_size=380, model_type=request.param, sentinels=5
    )


def assert_same_ids(ours: Tokenizer, theirs) -> None:
    for text in TEXTS + CORPUS[:20]:
        assert theirs(text, add_special_tokens=False)["input_ids"] == ours.encode(text), text


@pytest.mark.parametrize("model_type", ["t5", "bert", "roberta", "gpt2"])
def test_sentencepiece(sentencepiece: Tokenizer, model_type: str, tmp_path: Path) -> None:
    save_tokenizer(sentencepiece, tmp_path, FAMILIES[model_type].tokenizer, 64)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    vocabulary = sentencepiece.vocabulary
    assert_same_ids(sentencepiece, theirs)
    assert len(theirs) == vocabulary.size
    assert (theirs.pad_token_id, theirs.eos_token_id, theirs.mask_token_id) == (
        vocabulary.pad,
        vocabulary.eos,
        vocabulary.mask,
    )
    assert theirs.convert_tokens_to_ids("<extra_id_0>") == vocabulary.sentinels[0] == vocabulary.size - 1
    text = "The cat <extra_id_0> on <extra_id_1> mat."
    assert theirs(text, add_special_tokens=False)["input_ids"] == sentencepiece.encode(text, special=True)
    assert theirs.decode(sentencepiece.encode(TEXTS[0])) == TEXTS[0]
    ids = sentencepiece.encode("the cat")
    wrapped = {"t5": ([], [vocabulary.eos]), "gpt2": ([], [])}.get(model_type, ([vocabulary.cls], [vocabulary.sep]))
    assert theirs("the cat")["input_ids"] == [*wrapped[0], *ids, *wrapped[1]]
    again = load_tokenizer(tmp_path)
    assert again.fingerprint == sentencepiece.fingerprint


def test_slow_t5(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    ours = train_sentencepiece(CORPUS, tmp_path_factory.mktemp("t5"), vocab_size=380, specials="t5")
    save_tokenizer(ours, tmp_path, FAMILIES["t5"].tokenizer, None)
    theirs = transformers.T5Tokenizer.from_pretrained(tmp_path, legacy=False)
    assert theirs.convert_tokens_to_ids("<extra_id_0>") == ours.vocabulary.sentinels[0]
    for text in CORPUS[:20]:
        assert theirs(text)["input_ids"] == [*ours.encode(text), ours.vocabulary.eos]


def test_wordpiece(tmp_path: Path) -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.,:()'\"-1234567890"]
    pieces += [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz0123456789"] + ["the", "cat", "##at", "line"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    ours = load_tokenizer(tmp_path)
    save_tokenizer(ours, tmp_path / "out", FAMILIES["bert"].tokenizer, 64)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert isinstance(theirs, transformers.BertTokenizerFast)
    assert_same_ids(ours, theirs)
    v = ours.vocabulary
    first, second = ours.encode("the cat"), ours.encode("line")
    pair = theirs("the cat", "line")
    assert pair["input_ids"] == [v.cls, *first, v.sep, *second, v.sep]
    assert pair["token_type_ids"] == [0] * (len(first) + 2) + [1] * (len(second) + 1)
    slow = transformers.BertTokenizer.from_pretrained(tmp_path / "out")
    assert_same_ids(ours, slow)
    again = load_tokenizer(tmp_path / "out")
    assert [again.encode(text) for text in TEXTS] == [ours.encode(text) for text in TEXTS]
    assert again.vocabulary.mask == v.mask


def test_byte_level_bpe(tmp_path: Path) -> None:
    import tokenizers

    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(CORPUS, vocab_size=320, special_tokens=["<|endoftext|>"], show_progress=False)
    trained.save_model(str(tmp_path))
    ours = load_tokenizer(tmp_path)
    save_tokenizer(ours, tmp_path / "out", FAMILIES["gpt2"].tokenizer, 64)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert isinstance(theirs, transformers.GPT2TokenizerFast)
    assert_same_ids(ours, theirs)
    assert theirs.eos_token_id == ours.vocabulary.eos
    again = load_tokenizer(tmp_path / "out")
    assert [again.encode(text) for text in TEXTS] == [ours.encode(text) for text in TEXTS]


def test_gpt1(data_dir: Path, tmp_path: Path) -> None:
    ours = load_tokenizer(data_dir / "gpt1_bpe")
    save_tokenizer(ours, tmp_path, FAMILIES["openai-gpt"].tokenizer, 512)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert_same_ids(ours, theirs)


def test_xlnet(tmp_path: Path) -> None:
    """The released order of the ids: <unk> <s> </s> <cls> <sep> <pad> <mask> <eod> <eop>."""
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        vocab_size=380,
        control_symbols=["<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"],
        minloglevel=2,
    )
    (tmp_path / "spiece.model").write_bytes(model.getvalue())
    ours = load_tokenizer(tmp_path)
    v = ours.vocabulary
    assert (v.unk, v.bos, v.eos, v.cls, v.sep, v.pad, v.mask) == (0, 1, 2, 3, 4, 5, 6)
    assert v.is_special[:9].all() and not v.is_special[9:380].any()
    save_tokenizer(ours, tmp_path / "out", FAMILIES["xlnet"].tokenizer, None)
    fast = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert isinstance(fast, transformers.XLNetTokenizerFast) and len(fast) == v.size
    assert_same_ids(ours, fast)
    slow = transformers.XLNetTokenizer.from_pretrained(tmp_path / "out")
    first, second = ours.encode("the cat"), ours.encode("a mat and a cat")
    for theirs in (fast, slow):
        pair = theirs("the cat", "a mat and a cat")
        assert pair["input_ids"] == [*first, v.sep, *second, v.sep, v.cls]
        assert pair["token_type_ids"] == [0] * (len(first) + 1) + [1] * (len(second) + 1) + [2]
        padded = theirs(["the cat", "a mat and a cat"], padding=True)
        assert padded["input_ids"][0][0] == v.pad and padded["input_ids"][0][-1] == v.cls
        assert padded["attention_mask"][0][0] == 0
        texts = [text.replace(",", "") for text in CORPUS[:20]]  # the slow one parts a number from its comma
        assert [theirs(text, add_special_tokens=False)["input_ids"] for text in texts] == [
            ours.encode(text) for text in texts
        ]
    again = load_tokenizer(tmp_path / "out")
    assert again.fingerprint == ours.fingerprint


def test_albert(tmp_path: Path) -> None:
    """The released order of the ids: <pad> <unk> [CLS] [SEP] [MASK]; the slow class reads the model's own file."""
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        vocab_size=380,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        minloglevel=2,
    )
    (tmp_path / "spiece.model").write_bytes(model.getvalue())
    ours = load_tokenizer(tmp_path)
    v = ours.vocabulary
    assert (v.pad, v.unk, v.cls, v.sep, v.mask) == (0, 1, 2, 3, 4) and v.word_start is not None
    save_tokenizer(ours, tmp_path / "out", FAMILIES["albert"].tokenizer, 64)
    fast = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert isinstance(fast, transformers.AlbertTokenizerFast) and len(fast) == v.size == 380
    assert_same_ids(ours, fast)
    slow = transformers.AlbertTokenizer.from_pretrained(tmp_path / "out")
    first, second = ours.encode("The cat"), ours.encode("a Mat and a cat")
    for theirs in (fast, slow):
        pair = theirs("The cat", "a Mat and a cat")
        assert pair["input_ids"] == [v.cls, *first, v.sep, *second, v.sep]
        assert pair["token_type_ids"] == [0] * (len(first) + 2) + [1] * (len(second) + 1)
        assert theirs.mask_token_id == v.mask and theirs.pad_token_id == v.pad
        texts = [text.replace(",", "") for text in CORPUS[:20]]  # the slow one parts a number from its comma
        assert [theirs(text, add_special_tokens=False)["input_ids"] for text in texts] == [
            ours.encode(text) for text in texts
        ]
    assert load_tokenizer(tmp_path / "out").fingerprint == ours.fingerprint


def test_extra_tokens(sentencepiece: Tokenizer, tmp_path: Path) -> None:
    ours = sentencepiece.with_extra_tokens(["[R]", "[S]"])
    save_tokenizer(ours, tmp_path, FAMILIES["t5"].tokenizer, 64)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == ours.vocabulary.size
    assert theirs.convert_tokens_to_ids(["[R]", "[S]"]) == [ours.vocabulary.named[name] for name in ("[R]", "[S]")]
    assert theirs("[R] the cat", add_special_tokens=False)["input_ids"] == ours.encode("[R] the cat", special=True)
    assert theirs.decode(theirs("[R] the cat")["input_ids"], skip_special_tokens=True) == "the cat"
    assert load_tokenizer(tmp_path).fingerprint == ours.fingerprint
