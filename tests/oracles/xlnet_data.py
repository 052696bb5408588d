"""XLNet's data in plain Python and NumPy, from the rules of zihangdai/xlnet @ data_utils.py.

The stream of a corpus: _create_data, lines 84-107; rows read from both ends: create_tfrecords, 402-421; two segments:
_split_a_and_b, 255-305; a record: create_tfrecords, 447-520; spans to predict: _sample_mask, 331-392; who sees whom:
_local_perm, 579-643, and parser, 677-736.
"""

import random

import numpy as np

from tests.oracles.kit import CLS, EOS, SEP


def stream(documents):
    """(ids, the sentence each is in): a line a sentence, and an end-of-document token of the last one (84-107)."""
    ids, sentences, number = [], [], 0
    for document in documents:
        for sentence in document:
            ids += sentence
            sentences += [number] * len(sentence)
            number += 1
        ids.append(EOS)
        sentences.append(number - 1)
    return np.array(ids), np.array(sentences)


def split_a_and_b(ids, sentences, begin, room, rng: random.Random):
    """The texts A and B (255-305)."""
    cuts, end = [], begin + 1
    while end < len(ids):
        if sentences[end] != sentences[end - 1]:
            if end - begin >= room:
                break
            cuts.append(end)
        end += 1
    if not cuts or rng.random() < 0.5:
        a_end = rng.choice(cuts) if cuts else end
        size = max(1, room - (a_end - begin))
        b_begin = rng.randint(0, len(ids) - 1 - size)
        b_end = b_begin + size
        while b_begin > 0 and sentences[b_begin - 1] == sentences[b_begin]:
            b_begin -= 1
        while b_end < len(ids) - 1 and sentences[b_end - 1] == sentences[b_end]:
            b_end += 1
    else:
        a_end = b_begin = rng.choice(cuts)
        b_end = end
    a, b = list(ids[begin:a_end]), list(ids[b_begin:b_end])
    while len(a) + len(b) > room:
        (a if len(a) > len(b) else b).pop()
    return a, b


def record(ids, sentences, at, length, reused, rng: random.Random):
    """`input` and `seg_id` of the window whose running text begins at `at` (450-491)."""
    a, b = split_a_and_b(ids, sentences, at + reused, length - reused - 3, rng)
    tokens = [*ids[at : at + reused], *a, SEP, *b, SEP, CLS]
    return tokens, [0] * (reused + len(a) + 1) + [1] * (len(b) + 1) + [2]


class Draws:
    """The random numbers of `sample_mask`."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def ngram(self, odds):
        return 1 + self.rng.choice(len(odds), p=odds)

    def left(self, context):
        return self.rng.integers(context)

    def token(self, length):
        return self.rng.integers(length)


def spans(is_start, goal, draws, alpha=6, beta=1, longest=5):
    """bool [L]: in a span (347-381). One of n has n tokens, as line 371 looks at its first piece alone."""
    length = len(is_start)
    mask, taken, at = np.zeros(length, bool), 0, 0
    odds = 1 / np.arange(1, longest + 1)
    while at < length and taken < goal:
        n = min(draws.ngram(odds / odds.sum()), goal - taken)
        context = n * alpha // beta
        before = draws.left(context)
        begin = at + before
        while begin < length and not is_start[begin]:
            begin += 1
        end = begin + n
        if begin >= length or end >= length:
            break
        mask[begin:end] = True
        taken += n
        at = end + context - before
    return mask


def sample_mask(is_start, goal, draws, reverse=False, allowed=None):
    """bool [L]: the tokens to predict (331-392).

    allowed: plmjax never chooses a separator or the class token; None: as released, any token may be chosen.
    """
    length = len(is_start)
    allowed = np.ones(length, bool) if allowed is None else allowed
    if reverse:
        return sample_mask(is_start[::-1], goal, draws, False, allowed[::-1])[::-1]
    mask = spans(is_start, goal, draws) & allowed
    while mask.sum() < goal:
        token = draws.token(length)
        mask[token] |= allowed[token]
    return mask


def local_perm(tokens, is_masked, index):
    """(who may not see whom, which tokens are targets) of one half, in the order of `index` (600-631)."""
    functional = np.isin(tokens, (SEP, CLS))
    late = is_masked | functional
    rank = np.where(late, index, -1)
    target = is_masked & ~functional
    own = np.where(target, rank, rank + 1)
    return (own[:, None] <= rank[None, :]) & late[None, :], target


def parsed(tokens, is_masked, reused, first_index, rest_index, num_predict):
    """`perm_mask`, the places of `target_mapping`, `target` and `target_mask` of a record (677-736)."""
    first, first_target = local_perm(tokens[:reused], is_masked[:reused], first_index)
    rest, rest_target = local_perm(tokens[reused:], is_masked[reused:], rest_index)
    blind = np.ones((reused, len(tokens) - reused), bool)
    perm_mask = np.block([[first, blind], [~blind.T, rest]])
    places = np.flatnonzero(np.concatenate([first_target, rest_target]))
    spare = [0] * (num_predict - len(places))
    return perm_mask, [*places, *spare], [*tokens[places], *spare], [1] * len(places) + spare
