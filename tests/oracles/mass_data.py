"""MASS's data in plain NumPy, from the rules of microsoft/MASS.

Translation: MASS-unsupNMT/src/trainer.py, lines 735-841, and which source places the decoder attends to, 985-990;
summarisation: MASS-summarization/mass/masked_dataset.py, 45-64 and 104-112. Rows are (source, what the decoder reads,
what it writes, its positions, whether it attends to each source place).
"""

import numpy as np

from tests.oracles.kit import MASK


def replaced(tokens, words, numbers: np.random.RandomState):
    """80% masked, 10% kept, 10% random (735-743; masked_dataset.py, 104-112)."""
    kinds = numbers.choice(3, len(tokens), p=[0.8, 0.1, 0.1])
    return np.choose(kinds, [np.full(len(tokens), MASK), tokens, numbers.choice(words, len(tokens))])


def for_translation(sentence, share, words, numbers: np.random.RandomState):
    """One fragment of a sentence that stands between two </s>, the first of which is never hidden.

    A fifth of the fragments begin behind it, a fifth end the sentence, the others lie anywhere (765-786).
    """
    tokens = np.array(sentence)
    length = round(len(tokens) * share)
    clean = len(tokens) - length - 1  # tokens around the fragment
    chance = numbers.random_sample()
    begin = 0 if chance >= 0.8 else clean if chance >= 0.6 else numbers.randint(0, clean + 1)
    places = 1 + begin + np.arange(length)
    source = tokens.copy()
    source[places] = replaced(tokens[places], words, numbers)
    return source, tokens[places - 1], tokens[places], places - 1, source != MASK


def for_summarisation(text, share, block, words, numbers: np.random.RandomState):
    """A fragment in each block of the text behind its first token, anywhere in it; all of the source is attended to.

    Positions are those of the tokens that are read: both tables of positions begin at the same offset, behind padding,
    and the encoder's first position is one later (60-61; learned_positional_embedding.py).
    """
    tokens, places = np.array(text), []
    for at in range(1, len(tokens), block):
        size = min(block, len(tokens) - at)
        length = int(size * share)
        begin = at + numbers.randint(0, size - length + 1)
        places += range(begin, begin + length)
    places, source = np.array(places), tokens.copy()
    source[places] = replaced(tokens[places], words, numbers)
    return source, tokens[places - 1], tokens[places], places - 1, np.ones(len(tokens), bool)
