"""XLM's data in plain NumPy, from the rules of facebookresearch/XLM @ xlm.

Streams: StreamDataset of data/dataset.py, lines 17-75; sentences between two </s>: Dataset.batch_sentences, 115-131;
translations: concat_batches of utils.py, 213-237, with reset_positions; masks: mask_out of trainer.py, 423-468.
"""

import math

import numpy as np

from tests.oracles.kit import EOS, MASK


def stream(documents):
    """The sentences of a language one after the other, </s> behind each."""
    return np.array([token for document in documents for sentence in document for token in (*sentence, EOS)])


def stream_batches(tokens, rows, length):
    """[batches, length, rows]: each row reads a stretch of the stream, </s> before it; </s> fills it up in front."""
    batches = math.ceil(len(tokens) / (rows * length))
    buffer = np.full(batches * length * rows, EOS)
    buffer[len(buffer) - len(tokens) :] = tokens
    data = np.full((batches * length + 1, rows), EOS)
    data[1:] = buffer.reshape(rows, batches * length).T
    return data[: batches * length].reshape(batches, length, rows)


def translation(first, second, first_language, second_language):
    """(tokens, positions, languages) of `</s> A </s> </s> B </s>`, positions starting anew with B."""
    a, b = [EOS, *first, EOS], [EOS, *second, EOS]
    positions = [*range(len(a)), *range(len(b))]
    return a + b, positions, [first_language] * len(a) + [second_language] * len(b)


def chosen(tokens, rate, draws, numbers: np.random.RandomState):
    """bool [draws, L]: which tokens are predicted; a coin for each but the first (432, 444)."""
    mask = numbers.random_sample((draws, len(tokens))) <= rate
    mask[:, 0] = False
    return mask


def chosen_by_count(tokens, scores, count, numbers: np.random.RandomState):
    """bool [L]: a number of tokens drawn by their scores (435-440), which are 0 for special ones; never the first."""
    likely = scores[tokens].astype(np.float64)
    likely[0] = 0  # the released code draws it and then drops it (444)
    mask = np.zeros(len(tokens), bool)
    mask[numbers.choice(len(tokens), count, replace=False, p=likely / likely.sum())] = True
    return mask


def replaced(tokens, mask, words, numbers: np.random.RandomState):
    """[draws, L]: 80% of the chosen tokens masked, 10% kept, 10% random (457-462)."""
    kinds = numbers.choice(3, mask.shape, p=[0.8, 0.1, 0.1])
    random = numbers.choice(words, mask.shape)
    return np.where(
        mask, np.choose(kinds, [np.full(mask.shape, MASK), np.tile(tokens, (len(mask), 1)), random]), tokens
    )
