"""T5's data in plain NumPy, from google-research/text-to-text-transfer-transformer @ t5/data/preprocessors.py.

Lengths: random_spans_helper, lines 2646-2708; masks: random_spans_noise_mask, 2930-3039, iid_noise_mask, 2874-2885,
random_prefix_noise_mask, 3043-3074; texts of a mask: noise_span_to_unique_sentinel, 3141-3225, noise_token_to_sentinel,
3095-3110, noise_token_to_random_token_or_sentinel, 3342, drop_noise_tokens, 3229-3260, permute_noise_tokens, 3264-3284;
chunks: reduce_concat_tokens and split_tokens, as span_corruption uses them, 1981-1999.
"""

import numpy as np

from tests.oracles.kit import EOS, SENTINELS


def span_lengths(inputs, density, mean):
    """(raw, targets) lengths that fill the inputs (2679-2701)."""

    def encoded(raw):
        noise = round(raw * density)
        spans = round(noise / mean)
        return raw - noise + spans + 1, noise + spans + 1

    raw = inputs - 1
    while encoded(raw + 1)[0] <= inputs:
        raw += 1
    inputs, targets = encoded(raw)
    return (raw - 1, targets - 1) if density == 0.5 and targets > inputs else (raw, targets)


def chunks(documents, length):
    """Documents one after the other, cut every `length` tokens (1993-1999)."""
    tokens = [token for document in documents for sentence in document for token in sentence]
    return [tokens[at : at + length] for at in range(0, len(tokens), length)]


def parts(items, count, numbers: np.random.RandomState):
    """The lengths of `count` parts, of which none is empty (2992-3010)."""
    is_first = numbers.permutation(np.arange(items - 1) < count - 1)
    return np.bincount(np.concatenate([[0], np.cumsum(is_first)]))


def spans_mask(length, density, mean, numbers: np.random.RandomState):
    """bool [length]: noise in spans, a clean one first (2971-3026). Rounding is half to even."""
    raw = max(length, 2)
    noise = min(max(round(raw * density), 1), raw - 1)
    spans = max(round(noise / mean), 1)
    noisy, clean = parts(noise, spans, numbers), parts(raw - noise, spans, numbers)
    return np.repeat(np.arange(2 * spans) % 2 == 1, np.stack([clean, noisy], 1).ravel())[:length]


def runs_to_sentinels(tokens, mask):
    """The first token of the j-th run of noise becomes the j-th sentinel, its others go (3196-3212)."""
    found, run = [], -1
    for place, (token, noise) in enumerate(zip(tokens, mask, strict=True)):
        if not noise:
            found.append(token)
        elif place == 0 or not mask[place - 1]:
            run += 1
            found.append(SENTINELS[run])
    return found


def span_corruption(tokens, mask):
    """(inputs, targets) with EOS."""
    return [*runs_to_sentinels(tokens, mask), EOS], [*runs_to_sentinels(tokens, ~mask), EOS]


def bert_style(tokens, mask, words, random_share, numbers: np.random.RandomState):
    """Noise becomes the first sentinel or, with a chance, a random token; the whole text is the target."""
    is_random = numbers.random_sample(len(tokens)) < random_share
    noise = np.where(is_random, numbers.choice(words, len(tokens)), SENTINELS[0])
    return [*np.where(mask, noise, tokens).tolist(), EOS], [*tokens, EOS]


def drop(tokens, mask):
    """(clean tokens, noise), each with EOS."""
    tokens = np.array(tokens)
    return [*tokens[~mask].tolist(), EOS], [*tokens[mask].tolist(), EOS]


def deshuffled(tokens, numbers: np.random.RandomState):
    """All tokens in a random order (density 1)."""
    return [*numbers.permutation(tokens).tolist(), EOS], [*tokens, EOS]


def prefix_mask(length, numbers: np.random.RandomState):
    """bool [length]: the first k tokens, k from 1 to length - 1 and each as likely."""
    return np.arange(length) < numbers.randint(1, length)
