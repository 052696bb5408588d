"""Extra named tokens: ids of their own, special, saved with the tokenizer and required by name."""

import dataclasses
import io
import json

import numpy as np
import pytest
import sentencepiece as library

from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.data.store.store import Store
from plmjax.data.tokenizers import words
from plmjax.data.tokenizers.base import METADATA_FILE
from plmjax.data.tokenizers.fairseq import FairseqTokenizer
from plmjax.data.tokenizers.load import load_tokenizer, train_sentencepiece
from plmjax.data.tokenizers.marian import MarianTokenizer
from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.errors import UserError
from tests.data.conftest import make_documents

MODES = ("[R]", "[S]", "[X]")
TEXTS = [paragraph for document in make_documents(60) for paragraph in document]
MARKED = "the river and the bridge [R] of grain"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"[]abcdefghijklmnoprstuvwxRSX", "the", "river"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """One tokenizer of each kind, without extra tokens."""
    folder = tmp_path_factory.mktemp("wordpiece")
    (folder / "vocab.txt").write_text("\n".join([*PIECES, *(f"##{letter}" for letter in "abcdefghijklmnoprstuvwx")]))
    model = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=60, minloglevel=2, hard_vocab_limit=False
    )
    processor = library.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
    ids = {piece: number for number, piece in enumerate(["</s>", "<unk>", *pieces[3:], "<pad>"])}
    return {
        "sentencepiece": train_sentencepiece(
            TEXTS, tmp_path_factory.mktemp("sp"), vocab_size=100, byte_fallback=False, sentinels=4
        ),
        "huggingface": load_tokenizer(folder),
        "fairseq": FairseqTokenizer(model.getvalue(), ("en_XX",)),
        "marian": MarianTokenizer(model.getvalue(), model.getvalue(), ids),
        "words": words.train(TEXTS, [], 20, "words"),
    }


@pytest.mark.parametrize("kind", ["sentencepiece", "huggingface", "fairseq", "marian", "words"])
def test_extra_tokens_follow_the_ids_that_stay(plain, kind, tmp_path):
    before = plain[kind]
    tokenizer = before.with_extra_tokens(MODES)
    old, new = before.vocabulary, tokenizer.vocabulary
    assert [new.named[name] for name in MODES] == [old.size, old.size + 1, old.size + 2]
    assert new.size == old.size + 3 and new.is_special[old.size : new.size].all()
    assert not np.isin(new.non_special, [new.named[name] for name in MODES]).any()
    assert (new.pad, new.eos, new.mask, new.sentinels) == (old.pad, old.eos, old.mask, old.sentinels)
    for text in (TEXTS[0], MARKED):
        assert tokenizer.encode(text) == before.encode(text)  # a name in a text is text
    marked = tokenizer.encode("[S] the river", special=True)
    assert marked == [new.named["[S]"], *before.encode("the river")]
    assert tokenizer.decode(marked) == before.decode(before.encode("the river"))
    assert tokenizer.decode(marked, skip_special=False).startswith("[S] ")
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.vocabulary.named == new.named and again.fingerprint == tokenizer.fingerprint != before.fingerprint
    assert again.encode("[X] the river", special=True)[0] == new.named["[X]"]
    assert again.with_extra_tokens(MODES) is again  # it has them
    more = again.with_extra_tokens(["[Y]", "[R]"]).vocabulary
    assert (more.named["[R]"], more.named["[Y]"]) == (old.size, new.size)


def test_trained_with_extra_tokens(tmp_path):
    tokenizer = train_sentencepiece(
        TEXTS, tmp_path, vocab_size=100, byte_fallback=False, sentinels=4, extra_tokens=MODES
    )
    vocabulary = tokenizer.vocabulary
    vocabulary.require_named(*MODES)
    assert vocabulary.sentinels[0] == vocabulary.size - 1 == 103  # T5's order: the sentinels at the top
    assert all(vocabulary.named[name] < 100 and vocabulary.is_special[vocabulary.named[name]] for name in MODES)
    assert not set(tokenizer.encode(MARKED)) & set(vocabulary.named.values()) - {vocabulary.unk}
    assert load_tokenizer(tmp_path).vocabulary.named == vocabulary.named
    learned = words.train(TEXTS, [], 10, "words", MODES).vocabulary
    assert [learned.named[name] for name in MODES] == [3, 4, 5] and learned.shortlist == 10


def test_without_extra_tokens_the_metadata_is_as_before(plain, tmp_path):
    """The fingerprint of a tokenizer, which stores and checkpoints have recorded, does not move."""
    for kind, tokenizer in plain.items():
        tokenizer.save(tmp_path / kind)
        assert "extra_tokens" not in json.loads((tmp_path / kind / METADATA_FILE).read_text())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["[R]", "[S]", "[R]"], r"extra_tokens has '\[R\]' twice: name each token once"),
        (["a b"], "extra_tokens has 'a b': give each token a name without blanks"),
        ([""], "extra_tokens has '': give each token a name without blanks"),
    ],
)
def test_names_that_no_token_can_have(plain, names, message):
    with pytest.raises(UserError, match=message):
        plain["huggingface"].with_extra_tokens(names)
    with pytest.raises(UserError, match=message):
        PrepareOptions(extra_tokens=tuple(names)).check()


def test_an_objective_requires_tokens_by_name():
    vocabulary = make_vocabulary(10, {"pad": 0}, named={"[R]": 4})
    assert vocabulary.named == {"[R]": 4} and vocabulary.is_special[4]
    vocabulary.require_named("[R]")
    with pytest.raises(UserError, match=r"no token \[S\] and no \[X\], which .*--extra_tokens='\[R\],\[S\],\[X\]'"):
        vocabulary.require_named(*MODES)


@pytest.mark.parametrize("given", ["train", "words", "PATH"])
def test_a_store_with_extra_tokens(given, plain, tmp_path):
    (tmp_path / "text.txt").write_text("\n\n".join([MARKED, *TEXTS]))
    plain["huggingface"].save(tmp_path / "tokenizer")
    options = PrepareOptions(
        sources=(str(tmp_path / "text.txt"),),
        documents="blank_lines",
        validation_fraction=0.5,
        tokenizer=given if given != "PATH" else str(tmp_path / "tokenizer"),
        vocab_size=100,
        byte_fallback=False,
        sentinels=0 if given == "train" else None,
        extra_tokens=MODES,
    )
    store = prepare(options, tmp_path / "store", progress=False)
    vocabulary = store.vocabulary
    vocabulary.require_named(*MODES)
    for split in ("train", "validation"):
        assert not np.isin(store.split(split).tokens, [vocabulary.named[name] for name in MODES]).any()
    prepare(options, tmp_path / "store", progress=False)  # the same options open it again
    assert Store.open(tmp_path / "store").vocabulary.named == vocabulary.named
    with pytest.raises(UserError, match=r"was made with extra_tokens=\['\[R\]', '\[S\]', '\[X\]'\] and not \[\]"):
        prepare(dataclasses.replace(options, extra_tokens=()), tmp_path / "store", progress=False)
