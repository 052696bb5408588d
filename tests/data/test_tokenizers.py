import json

import numpy as np
import pytest
import tokenizers as hf

from plmjax.data.tokenizers import sentencepiece
from plmjax.data.tokenizers.base import METADATA_FILE
from plmjax.data.tokenizers.load import load_tokenizer, train_sentencepiece
from plmjax.errors import UserError
from tests.data.conftest import WORDS

TEXTS = {
    "english": "The old bridge, and the river's boats: 3 towns!",
    "nepali": "नेपालमा पहिलो पटक क्‍षेत्र ।",
    "hindi": "यह एक वाक्य है।",
    "emoji": "boats 😀 👩‍👩‍👧 é",
    "special names": "[MASK] <mask> </s> <extra_id_0> <pad>",
    "lines": "grain\nsalt",
}


@pytest.fixture(scope="session")
def unigram(documents):
    texts = [paragraph for document in documents for paragraph in document]
    return sentencepiece.train(texts, vocab_size=320, model_type="unigram", specials="t5")


@pytest.fixture(scope="session")
def byte_level(documents, tmp_path_factory):
    """A byte-level BPE in GPT-2's two files, with RoBERTa's special tokens."""
    directory = tmp_path_factory.mktemp("byte_level")
    trainer = hf.ByteLevelBPETokenizer()
    texts = [paragraph for document in documents for paragraph in document]
    trainer.train_from_iterator(
        texts, vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False
    )
    trainer.save_model(str(directory))
    return load_tokenizer(directory)


@pytest.fixture(scope="session")
def wordpiece(tmp_path_factory):
    path = tmp_path_factory.mktemp("wordpiece") / "vocab.txt"
    letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    pieces = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    path.write_text("\n".join([*pieces, "the", "river", "bridge"]) + "\n")
    return load_tokenizer(path)


@pytest.fixture(params=["tokenizer", "unigram", "byte_level", "wordpiece"])
def any_tokenizer(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", ["tokenizer", "unigram", "byte_level"])
def test_decode_inverts_encode(kind, name, request):
    tokenizer = request.getfixturevalue(kind)
    ids = tokenizer.encode(TEXTS[name])
    assert tokenizer.decode(ids) == TEXTS[name]
    assert not tokenizer.vocabulary.is_special[ids].any()


def test_wordpiece_decodes_words(wordpiece):
    assert wordpiece.decode(wordpiece.encode("The RIVERS")) == "the rivers"
    assert wordpiece.vocabulary.unk in wordpiece.encode("नेपाल")


def test_saved_tokenizer_is_equal(any_tokenizer, tmp_path):
    any_tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.fingerprint == any_tokenizer.fingerprint
    assert loaded.encode(TEXTS["english"]) == any_tokenizer.encode(TEXTS["english"])
    assert loaded.vocabulary.sentinels == any_tokenizer.vocabulary.sentinels
    assert (loaded.vocabulary.is_special == any_tokenizer.vocabulary.is_special).all()
    assert loaded.special_names == any_tokenizer.special_names


def test_vocabulary_holds_for_every_id(any_tokenizer):
    vocabulary = any_tokenizer.vocabulary
    assert vocabulary.padded_size % 128 == 0 and vocabulary.size <= vocabulary.padded_size
    assert vocabulary.is_special[vocabulary.size :].all()
    for name in ("pad", "unk", "mask", "cls", "sep", "bos", "eos"):
        token = getattr(vocabulary, name)
        assert token is None or vocabulary.is_special[token]
    for token in vocabulary.non_special:
        assert any_tokenizer.piece(int(token))


def test_no_id_crashes_decode(any_tokenizer):
    size = any_tokenizer.vocabulary.padded_size
    ids = [*range(size), size, 10**6, -1]
    assert isinstance(any_tokenizer.decode(ids), str)
    text = any_tokenizer.decode(ids, skip_special=False)
    assert "<id_1000000>" in text and "<id_-1>" in text
    for name in any_tokenizer.special_names.values():
        assert name in text


def test_special_names_become_ids_when_asked(tokenizer, byte_level, wordpiece):
    for kind, name in ((tokenizer, "<mask>"), (byte_level, "<mask>"), (wordpiece, "[MASK]")):
        mask = kind.vocabulary.mask
        text = f"the {name} river"
        assert mask not in kind.encode(text)
        ids = kind.encode(text, special=True)
        assert ids.count(mask) == 1
        assert kind.decode(ids, skip_special=False) == text
    left, right = byte_level.encode("the <mask> river", special=True)[0], byte_level.encode(" river")
    assert left == byte_level.encode("the")[0]
    assert byte_level.encode("the <mask> river", special=True)[-len(right) :] == right


def test_t5_sentinels_count_down_from_the_top(unigram):
    vocabulary = unigram.vocabulary
    assert vocabulary.size == 420 and vocabulary.padded_size == 512
    assert vocabulary.sentinels == tuple(range(419, 319, -1))
    assert (vocabulary.pad, vocabulary.eos, vocabulary.unk) == (0, 1, 2)
    assert (vocabulary.bos, vocabulary.cls, vocabulary.mask) == (None, None, None)
    assert unigram.decode([419], skip_special=False) == "<extra_id_0>"
    assert unigram.encode("<extra_id_1>", special=True) == [418]


@pytest.mark.parametrize(
    ("preset", "names"),
    [("bert", {"pad", "unk", "cls", "sep", "mask"}), ("gpt", {"eos", "unk"}), ("t5", {"pad", "eos", "unk"})],
)
def test_presets(documents, preset, names):
    made = sentencepiece.train((p for d in documents for p in d), vocab_size=320, model_type="bpe", specials=preset)
    has = {n for n in ("pad", "bos", "eos", "cls", "sep", "mask", "unk") if getattr(made.vocabulary, n) is not None}
    assert has == names
    assert len(made.vocabulary.sentinels) == (100 if preset == "t5" else 0)


def test_all_preset_serves_every_objective(tokenizer):
    tokenizer.vocabulary.require("pad", "bos", "eos", "cls", "sep", "mask", "unk", "sentinels")
    assert (tokenizer.vocabulary.pad, tokenizer.vocabulary.eos, tokenizer.vocabulary.unk) == (0, 1, 2)


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_training_is_deterministic_and_quiet(documents, model_type, capfd):
    texts = [paragraph for document in documents for paragraph in document]
    first, second = (sentencepiece.train(texts, vocab_size=320, model_type=model_type) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert capfd.readouterr() == ("", "")


def test_word_starts_of_pieces(tokenizer, byte_level, wordpiece):
    starts, pieces = tokenizer.vocabulary.word_start, range(tokenizer.vocabulary.size)
    assert all(
        starts[i] == tokenizer.piece(i).startswith("▁") for i in pieces if not tokenizer.vocabulary.is_special[i]
    )
    assert not any(starts[i] for i in pieces if tokenizer.piece(i).startswith("<0x"))
    ids = byte_level.encode("the river runs")
    assert byte_level.vocabulary.word_start[ids].sum() == 2  # the first word has no blank before it
    ids = wordpiece.encode("the rivers")
    assert wordpiece.vocabulary.word_start[ids].tolist() == [True, True, False]


def test_words_counted_by_word_start(tokenizer):
    text = " ".join(WORDS)
    assert tokenizer.vocabulary.word_start[tokenizer.encode(text)].sum() == len(WORDS)


def test_sentence_prefix_tells_byte_level_apart(tokenizer, unigram, byte_level, wordpiece):
    assert [t.sentence_prefix for t in (tokenizer, unigram, byte_level, wordpiece)] == ["", "", " ", ""]


def test_bert_vocabulary(data_dir):
    tokenizer = load_tokenizer(data_dir / "bert_vocab")
    vocabulary = tokenizer.vocabulary
    assert (vocabulary.size, vocabulary.padded_size) == (30522, 30592)
    assert (vocabulary.pad, vocabulary.unk, vocabulary.cls, vocabulary.sep, vocabulary.mask) == (0, 100, 101, 102, 103)
    assert vocabulary.bos is None and vocabulary.sentinels == ()
    assert vocabulary.is_special[1:100].all()  # [unused0] and on
    reference = pytest.importorskip("transformers").BertTokenizerFast(str(data_dir / "bert_vocab" / "vocab.txt"))
    for text in TEXTS.values():
        if "[MASK]" not in text:
            assert tokenizer.encode(text) == reference(text, add_special_tokens=False)["input_ids"]


def test_gpt1_vocabulary(data_dir):
    tokenizer = load_tokenizer(data_dir / "gpt1_bpe")
    assert tokenizer.vocabulary.size == 40478
    assert tokenizer.vocabulary.word_start is None
    assert tokenizer.decode(tokenizer.encode("The River runs .")) == "the river runs ."
    transformers = pytest.importorskip("transformers")
    reference = transformers.OpenAIGPTTokenizerFast(
        str(data_dir / "gpt1_bpe" / "encoder_bpe_40000.json"), str(data_dir / "gpt1_bpe" / "vocab_40000.bpe")
    )
    for name in ("english", "emoji", "lines"):
        assert tokenizer.encode(TEXTS[name]) == reference(TEXTS[name], add_special_tokens=False)["input_ids"]


def test_gpt2_files_agree_with_transformers(byte_level, tmp_path):
    transformers = pytest.importorskip("transformers")
    vocabulary = {byte_level.piece(i): i for i in range(byte_level.vocabulary.size)}
    merges = json.loads(byte_level._json)["model"]["merges"]
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
    reference = transformers.GPT2TokenizerFast(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    for name in ("english", "nepali", "emoji", "lines"):
        assert byte_level.encode(TEXTS[name]) == reference(TEXTS[name])["input_ids"]


def test_names_of_specials_come_from_the_files_beside(byte_level, tmp_path):
    (tmp_path / "tokenizer.json").write_text(byte_level._json)
    (tmp_path / "special_tokens_map.json").write_text(
        json.dumps({"cls_token": "<s>", "sep_token": {"content": "</s>"}, "mask_token": "<mask>"})
    )
    vocabulary = load_tokenizer(tmp_path).vocabulary
    assert (vocabulary.cls, vocabulary.sep, vocabulary.mask) == (0, 2, 4)
    assert vocabulary.bos is None


def test_sentinels_of_a_tokenizer_json(tmp_path):
    backend = hf.Tokenizer(hf.models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0)], unk_id=2))
    backend.pre_tokenizer = hf.pre_tokenizers.Metaspace()
    backend.decoder = hf.decoders.Metaspace()
    backend.add_special_tokens(["<pad>", "</s>", "<unk>", *(f"<extra_id_{i}>" for i in (2, 1, 0))])
    backend.save(str(tmp_path / "tokenizer.json"))
    vocabulary = load_tokenizer(tmp_path).vocabulary
    assert vocabulary.sentinels == (6, 5, 4)
    assert np.flatnonzero(vocabulary.word_start).tolist() == [3]


def test_bare_t5_model_gets_its_hundred_sentinels(unigram, tokenizer, tmp_path):
    for made, name, sentinels in ((unigram, "t5.model", 100), (tokenizer, "all.model", 0)):
        (tmp_path / name).write_bytes(made._model)
        assert len(load_tokenizer(tmp_path / name).vocabulary.sentinels) == sentinels
    assert len(load_tokenizer(tmp_path / "t5.model", sentinels=3).vocabulary.sentinels) == 3


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"No tokenizer in .*it needs tokenizer.json"),
        ({"tokenizer.json": "{}"}, r"not a tokenizer\.json"),
        ({"x.model": "nonsense"}, "not a SentencePiece model"),
        ({"vocab.json": "{}"}, "lacks merges.txt"),
        ({"vocab.txt": "a\nb\n"}, r"no \[UNK\] line"),
        ({METADATA_FILE: "{"}, "damaged"),
        ({METADATA_FILE: '{"kind": "sentencepiece", "sentinels": 0}'}, r"spiece\.model is missing"),
    ],
)
def test_bad_tokenizers_are_named(files, message, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        load_tokenizer(tmp_path)


def test_changed_tokenizer_is_noticed(tokenizer, unigram, tmp_path):
    tokenizer.save(tmp_path)
    (tmp_path / sentencepiece.MODEL_FILE).write_bytes(unigram._model)
    with pytest.raises(UserError, match="do not match the fingerprint"):
        load_tokenizer(tmp_path)


def test_missing_path_is_named(tmp_path):
    with pytest.raises(UserError, match=r"No tokenizer at .*nowhere"):
        load_tokenizer(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 90_000}, r"set it to at most \d+"),
        ({"vocab_size": 100}, "raise it"),
        ({"specials": "elmo"}, "'elmo': choose one of bert"),
        ({"model_type": "word"}, "'word': choose unigram or bpe"),
    ],
)
def test_bad_training_options_are_named(documents, options, message, tmp_path):
    with pytest.raises(UserError, match=message):
        train_sentencepiece((p for d in documents for p in d), tmp_path, **options)


def test_no_text_to_train_on(tmp_path):
    with pytest.raises(UserError, match="no text to train"):
        train_sentencepiece([], tmp_path)


@pytest.mark.parametrize("kind", ["blanks", "no blanks", "blank in front"])
def test_lines_of_any_length_train_a_tokenizer(kind):
    """SentencePiece drops a line of more than `max_sentence_length` bytes without a word."""
    texts = {
        "blanks": ["zebra quokka " * 90_000],
        "no blanks": ["斑馬和短尾矮袋鼠" * 50000],
        "blank in front": [" " + "x" * 1_200_000 + " zebra quokka"],
    }[kind]
    sizes = {"blanks": 14, "no blanks": 13, "blank in front": 16}
    options = {"byte_fallback": False, "specials": "t5", "sentinels": 0, "character_coverage": 1.0}
    trained = sentencepiece.train(texts, vocab_size=sizes[kind], max_characters=4_000_000, **options)
    sample = "斑馬" if kind == "no blanks" else "zebra quokka"
    assert trained.vocabulary.unk not in trained.encode(sample)


def test_short_lines_are_not_cut():
    lines = ["a b " * 1000, "short", "今天" * 1000]
    assert [list(sentencepiece._short_parts(line)) for line in lines] == [[line] for line in lines]
    long = "word " * 300_000
    parts = list(sentencepiece._short_parts(long))
    assert "".join(parts) == long and len(parts) > 1 and all(part.startswith((" ", "w")) for part in parts)
    assert max(len(part.encode()) for part in parts) < 1 << 20
