"""MASS's batches are those of the released data codes (see mass_data.py), in distribution, as whole rows, with the
settings of `mass.py:nmt` and `mass.py:base`.

On purpose: a random token is an ordinary one, where the code for translation draws from the whole vocabulary; a
fragment's length is rounded, and at least 1, in blocks too, where the code for summarisation rounds down; windows are
whole sentences of a document with </s> behind them, where the codes read single sentences of at least 5 tokens, and
512 tokens of the stream; language embeddings are left out. The supervised code (MASS-supNMT) hides the source places
after those that the decoder writes, so that it reads the first of them in clear: that slip is not followed.
"""

import numpy as np

from experiments.configs import mass as configs
from tests.oracles import mass_data
from tests.oracles.kit import BOUND, DRAWS, EOS, a_vocabulary, corruptions, joined, p_value, window

VOCABULARY = a_vocabulary(ordinary=3)
TEXT = [8, 9, 8, 7, 7, 9, 8, 9]


def assert_same(objective, restated):
    """All fields of 10,000 draws of one text."""
    batch = corruptions(objective, window(TEXT), VOCABULARY)
    numbers = np.random.RandomState(1)
    theirs = joined(*map(np.array, zip(*(restated(numbers) for _ in range(DRAWS)), strict=True)))
    assert batch["weights"].all() and batch["segments"].all() and batch["encoder_segments"].all()
    names = ("tokens", "decoder_tokens", "targets", "decoder_positions", "memory_segments")
    ours = joined(*(batch[name] for name in names))
    places = slice(batch["tokens"].shape[1], -batch["tokens"].shape[1])  # of the three fields of the decoder
    assert p_value(ours[:, places], theirs[:, places]) > BOUND
    assert p_value(ours, theirs) > BOUND


def test_for_translation():
    def restated(numbers):
        return mass_data.for_translation([EOS, *TEXT, EOS], 0.5, VOCABULARY.non_special, numbers)

    assert_same(configs.get_config("nmt").objective, restated)


def test_for_summarisation():
    """In blocks of 4 tokens, of which the released code has 64."""
    objective = configs.get_config("base").objective
    assert objective.block == 64
    objective.block = 4

    def restated(numbers):
        return mass_data.for_summarisation([*TEXT, EOS], 0.5, 4, VOCABULARY.non_special, numbers)

    assert_same(objective, restated)
