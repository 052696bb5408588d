"""BART's data in plain NumPy, from the rules of facebookresearch/fairseq @ fairseq/data/denoising_dataset.py.

Order of noises: __getitem__, lines 190-221; permute_sentences, 225-246; add_whole_word_mask, 257-362;
add_insertion_noise, 379-400; add_rolling_noise, 371-377. Texts come with <s> and </s>.
"""

import math

import numpy as np

from tests.oracles.kit import MASK


def permuted(text, full_stop, numbers: np.random.RandomState, share=1.0):
    """Sentences, which end with a full stop or with the text, in another order (225-246)."""
    is_stop = np.array(text) == full_stop
    is_stop[-2] = True
    ends = np.flatnonzero(is_stop[1:] & ~is_stop[:-1]) + 2
    sentences = np.split(np.array(text)[1:-1], ends[:-1] - 1)
    moving = math.ceil(len(sentences) * share)
    order = np.arange(len(sentences))
    places = numbers.permutation(len(sentences))[:moving]
    order[places] = places[numbers.permutation(moving)]
    return [text[0], *(int(token) for at in order for token in sentences[at]), text[-1]]


def poisson_shares(mean):
    """Of spans of 0, 1, ... words, cut where a share is under 1e-7 (165-179)."""
    shares = [math.exp(-mean)]
    while len(shares) < 128 and shares[-1] >= 1e-7:
        shares.append(shares[-1] * mean / len(shares))
    return np.array(shares) / sum(shares)


def span_lengths(budget, mean, numbers: np.random.RandomState):
    """(lengths above 0, how many were 0): Poisson draws until they add up to the budget, the last cut (264-294)."""
    shares, found = poisson_shares(mean), []
    while sum(found) < budget:
        found.append(int(numbers.choice(len(shares), p=shares)))
    found[-1] -= sum(found) - budget
    return [length for length in found if length], found.count(0)


def hidden(text, starts, rate, words, numbers: np.random.RandomState, mean=3.0, replace=1, random_share=0.0):
    """Whole words hidden in spans (257-362); `mean` None: one word at a time.

    Args:
        starts: for each place of the text whether a word begins there; never at <s> and </s>.
        words: what random tokens are drawn from.
        replace: replace_length.
    """
    is_start = np.array(starts)
    budget = math.ceil(is_start.sum() * rate)
    if not budget:
        return list(text)
    lengths, inserts = ([1] * budget, 0) if mean is None else span_lengths(budget, mean, numbers)
    begins = numbers.permutation(np.flatnonzero(is_start))[: len(lengths)]
    source, keep = list(text), np.ones(len(text), bool)
    is_random = numbers.random_sample(len(begins)) < random_share

    def hide(place, random, first):
        if (first and replace) or replace == -1:
            source[place] = int(numbers.choice(words)) if random else MASK
        else:
            keep[place] = False

    is_start = np.append(is_start[:-1], True)  # </s> ends any span
    for place, random in zip(begins, is_random, strict=True):
        hide(place, random, True)
    # All spans go on by a token at a time, until each has passed the start of one word too many.
    spans = list(zip(begins, np.array(lengths) - 1, is_random, strict=True))
    while spans:
        spans = [(at + 1, left - is_start[at + 1], random) for at, left, random in spans]
        spans = [(at, left if at < len(text) - 1 else -1, random) for at, left, random in spans]
        spans = [span for span in spans if span[1] >= 0]
        for at, _, random in spans:
            hide(at, random, False)
    source = [token for token, kept in zip(source, keep, strict=True) if kept]
    return inserted(source, inserts, words, numbers, random_share) if inserts else source


def inserted(text, count, words, numbers: np.random.RandomState, random_share=0.0):
    """`count` masks anywhere between <s> and </s>, a share of them, rounded up, random tokens (379-400)."""
    size = len(text) + count
    places = numbers.permutation(size - 2)[:count] + 1
    result = np.full(size, -1)
    randoms = math.ceil(count * random_share)
    result[places[randoms:]] = MASK
    result[places[:randoms]] = numbers.choice(words, randoms)
    result[result < 0] = text
    return result.tolist()


def rotated(text, numbers: np.random.RandomState):
    """(371-377): the offset may be that of </s> as well, which leaves the text as it is."""
    offset = numbers.randint(1, len(text))
    return [text[0], *text[offset:-1], *text[1:offset], text[-1]]
