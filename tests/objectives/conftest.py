"""A small corpus of numbers, a vocabulary for every objective, and tiny networks of each kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.store.split import Split
from plmjax.data.tokenizers.vocabulary import Vocabulary, make_vocabulary
from plmjax.modules import Bound, build
from plmjax.modules.bert import BertConfig
from plmjax.modules.gpt import GPTConfig
from plmjax.modules.t5 import T5Config
from plmjax.modules.xlnet import XLNetConfig

SPECIALS = {"pad": 0, "eos": 1, "unk": 2, "bos": 3, "cls": 4, "sep": 5, "mask": 6}
SIZE = 120  # of 128 rows
SENTINELS = range(119, 99, -1)
SMALL = {"vocab_size": 128, "num_layers": 1, "num_heads": 2, "d_model": 16, "d_ff": 32, "dropout": 0.0}


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """120 ids, the even ones of which begin a word."""
    return make_vocabulary(SIZE, SPECIALS, SENTINELS, word_start=[i % 2 == 0 for i in range(SIZE)])


@pytest.fixture(scope="session")
def split() -> Split:
    """30 documents of 5 sentences of 3 to 12 tokens."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 13, 150)
    sentences = np.concatenate([[0], np.cumsum(lengths)])
    tokens = rng.integers(7, 100, sentences[-1]).astype(np.uint16)
    return Split(tokens=tokens, document_starts=sentences[::5], sentence_starts=sentences)


def bound(config) -> Bound:
    """A network with weights large enough that all it reads shows in all it says."""
    module = build(config)
    shapes = jax.eval_shape(module.init, jax.random.key(0))["params"]
    rng = np.random.default_rng(1)
    return Bound(module, jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.5, x.shape), jnp.float32), shapes))


@pytest.fixture(scope="session")
def encoder() -> Bound:
    heads = ("token", "next_sentence")
    return bound(BertConfig(**SMALL, max_positions=64, attention_dropout=0.0, heads=heads))


@pytest.fixture(scope="session")
def decoder() -> Bound:
    return bound(GPTConfig(**SMALL, max_positions=64, attention_dropout=0.0))


@pytest.fixture(scope="session")
def encoder_decoder() -> Bound:
    return bound(T5Config(**SMALL, num_decoder_layers=1, d_kv=8))


@pytest.fixture(scope="session")
def two_stream() -> Bound:
    return bound(XLNetConfig(**SMALL, attention_dropout=0.0))
