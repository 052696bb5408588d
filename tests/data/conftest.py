"""A small corpus, a tokenizer trained on it, and splits with documents that are easy to tell apart."""

import random
from pathlib import Path

import numpy as np
import pytest

from plmjax.data.store.split import Split
from plmjax.data.tokenizers.sentencepiece import SentencePieceTokenizer, train
from plmjax.data.tokenizers.vocabulary import Vocabulary, make_vocabulary

WORDS = (  # noqa: SIM905
    "the small river runs under an old bridge where children throw stones and watch boats carry grain salt timber to "
    "towns beyond hills while winter light falls on quiet fields farmers mend walls talk about prices rain cattle"
).split()


def sentence(rng: random.Random) -> str:
    words = rng.choices(WORDS, k=rng.randint(4, 14))
    return " ".join(words).capitalize() + rng.choice(".!?")


def make_documents(count: int, seed: int = 0) -> list[list[str]]:
    """Documents of one to four paragraphs of one to six sentences."""
    rng = random.Random(seed)
    return [
        [" ".join(sentence(rng) for _ in range(rng.randint(1, 6))) for _ in range(rng.randint(1, 4))]
        for _ in range(count)
    ]


@pytest.fixture(scope="session")
def documents() -> list[list[str]]:
    return make_documents(60)


@pytest.fixture(scope="session")
def corpus_file(documents, tmp_path_factory) -> Path:
    """The documents as a .txt file with one document a block."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n\n".join("\n".join(document) for document in documents), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tokenizer(documents) -> SentencePieceTokenizer:
    texts = [paragraph for document in documents for paragraph in document]
    return train(texts, vocab_size=400, model_type="bpe", sentinels=10)


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """Specials 0 to 6, ordinary ids 7 to 9999."""
    names = ("pad", "eos", "unk", "bos", "cls", "sep", "mask")
    return make_vocabulary(10_000, {name: i for i, name in enumerate(names)})


def make_split(sentence_lengths: list[list[int]]) -> Split:
    """A split whose tokens count up from 7, given the lengths of the sentences of each document."""
    sentences = [length for document in sentence_lengths for length in document]
    documents = [sum(document) for document in sentence_lengths]
    return Split(
        tokens=np.arange(7, 7 + sum(documents), dtype=np.uint16),
        document_starts=np.concatenate([[0], np.cumsum(documents)]).astype(np.int64),
        sentence_starts=np.concatenate([[0], np.cumsum(sentences)]).astype(np.int64),
    )


def random_split(documents: int, seed: int = 0, sentences: int = 12, longest: int = 30) -> Split:
    rng = random.Random(seed)
    return make_split([[rng.randint(1, longest) for _ in range(rng.randint(1, sentences))] for _ in range(documents)])


@pytest.fixture(scope="session")
def split() -> Split:
    return random_split(60)
