"""Words as tokens, their spelling, and the two streams of sentences."""

import json

import numpy as np
import pytest

from plmjax.data.loader import Loader
from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.data.tokenizers import words
from plmjax.data.tokenizers.characters import spell, spell_vocabulary
from plmjax.data.tokenizers.load import load_tokenizer
from plmjax.data.windows import SentenceStreams
from plmjax.errors import UserError

TRAIN = ["the cat saw the dog.", "The dog, the cat!"]
HELD_OUT = ["the zebra saw"]


@pytest.fixture(scope="module")
def tokenizer():
    return words.train(TRAIN, HELD_OUT, vocab_size=6, split="words")


def test_the_lexicon_is_by_frequency_and_holds_every_word(tokenizer):
    lexicon = [tokenizer.piece(token) for token in range(tokenizer.vocabulary.size)]
    # the 3; cat, dog 2; then once each, in the order of the alphabet; last what only the held-out text has
    assert lexicon == ["<S>", "</S>", "<UNK>", "the", "cat", "dog", "!", ",", ".", "The", "saw", "zebra"]
    assert (tokenizer.vocabulary.shortlist, tokenizer.vocabulary.size) == (6, 12)
    assert (tokenizer.vocabulary.bos, tokenizer.vocabulary.eos, tokenizer.vocabulary.unk) == (0, 1, 2)
    assert tokenizer.vocabulary.word_start[3:12].all() and not tokenizer.vocabulary.word_start[:3].any()
    assert tokenizer.encode("The zebra, unseen") == [9, 11, 7, 2]
    assert tokenizer.encode("<S>")[0] != 0  # in a text it is plain text
    assert words.train(["a, b"], [], 9, "whitespace").encode("a, b") == [3, 4]


def test_it_is_saved_and_loaded(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.fingerprint == tokenizer.fingerprint and again.vocabulary.shortlist == 6
    assert again.encode(TRAIN[0]) == tokenizer.encode(TRAIN[0])
    assert (tmp_path / "words.txt").read_text().splitlines()[:4] == ["<S>", "</S>", "<UNK>", "the"]
    metadata = json.loads((tmp_path / "plmjax_tokenizer.json").read_text())
    (tmp_path / "plmjax_tokenizer.json").write_text(json.dumps(metadata | {"shortlist": 7}))
    with pytest.raises(UserError, match="is damaged"):
        load_tokenizer(tmp_path)
    (tmp_path / "words.txt").unlink()
    with pytest.raises(UserError, match=r"words.txt can't be read"):
        load_tokenizer(tmp_path)


def test_every_id_is_spelled(tokenizer):
    spelled = spell_vocabulary(tokenizer.vocabulary, 10)
    np.testing.assert_array_equal(spelled[11], spell(["zebra"], 10)[0])
    assert spelled[0, 1] == 257 and spelled[1, 1] == 258  # the marks of a sentence's begin and end


def test_vocabularies_without_room_are_refused():
    with pytest.raises(UserError, match="vocab_size is 3"):
        words.train(TRAIN, [], 3, "words")
    with pytest.raises(UserError, match="no word"):
        words.train([" "], [], 9, "words")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    text = ["One two three. Four five.", "Six. Seven eight nine ten eleven.", "Twelve thirteen."]
    lines = [json.dumps({"text": f"{line} Number{n}."}) for n, line in enumerate(text * 4)]
    (folder / "train.jsonl").write_text("\n".join(lines))
    (folder / "held.jsonl").write_text("\n".join(json.dumps({"text": f"Unheard word{n} here."}) for n in range(3)))
    options = PrepareOptions(
        (str(folder / "train.jsonl"),), (str(folder / "held.jsonl"),), tokenizer="words", vocab_size=12, workers=1
    )
    made = prepare(options, folder / "store", progress=False)
    assert prepare(options, folder / "store").fingerprint == made.fingerprint  # opened again
    return made


def test_the_store_knows_every_word_of_both_splits(store):
    counts = store.manifest["splits"]
    assert counts["train"]["unknown"] == counts["validation"]["unknown"] == 0
    held = store.split("validation")
    assert "word2" in store.tokenizer.decode(held.tokens).split()
    assert store.vocabulary.shortlist == 12 < store.vocabulary.size


def test_both_ways_through_the_same_sentences(store):
    """Against a plain construction: each sentence between its marks, forward and turned round."""
    split, vocabulary = store.split("train"), store.vocabulary
    windows = SentenceStreams(10).build(split, vocabulary, 7, 0)
    forward, targets, backward, backward_targets = [], [], [], []
    for start, end in zip(split.sentence_starts[:-1], split.sentence_starts[1:], strict=True):
        sentence = [vocabulary.bos, *split.tokens[start:end].tolist(), vocabulary.eos]
        forward += sentence[:-1]
        targets += sentence[1:]
        backward += sentence[:0:-1]
        backward_targets += sentence[-2::-1]
    batch = windows.batch(np.arange(len(windows)))
    short = np.vectorize(lambda token: token if token < 12 else vocabulary.unk)
    whole = len(windows) * 7
    for name, expected in (
        ("tokens", forward),
        ("targets", short(targets)),
        ("backward_tokens", backward),
        ("backward_targets", short(backward_targets)),
    ):
        np.testing.assert_array_equal(batch[name].ravel(), expected[:whole], err_msg=name)
    spelled = spell_vocabulary(vocabulary, 10)
    np.testing.assert_array_equal(batch["characters"], spelled[batch["tokens"]])
    np.testing.assert_array_equal(batch["backward_characters"], spelled[batch["backward_tokens"]])
    assert (batch["tokens"] >= 12).any() and (batch["targets"] == vocabulary.unk).any()
    assert {name: value.shape for name, value in windows[0].items()} == {n: v.shape[1:] for n, v in batch.items()}
    rows = Loader(windows, 2).batch(1)
    assert rows["example_ids"].tolist() == [1, len(windows) // 2 + 1] and rows["continues"].tolist() == [1, 1]
    with pytest.raises(UserError, match="too small for one window"):
        SentenceStreams(10).build(split, vocabulary, 10_000, 0)
