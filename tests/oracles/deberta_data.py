"""DeBERTa's masks in plain Python, from the rules of microsoft/DeBERTa.

NGramMaskGenerator, DeBERTa/apps/tasks/mlm_task.py:41-120, as MLM runs it (up to three words) and as version 3's
replaced-token detection does (rtd_task.py:145: one token, keep_prob 0, mask_prob 1).
"""

import random

from tests.oracles.kit import CLS, MASK, PAD, SEP, UNK


def masked(tokens, rate, longest, is_start, ordinary, rng, mask=0.8, keep=0.1):
    """(masked tokens, labels: 0 where a token is not predicted) of one text.

    rng: has the methods `random`, `randint` and `choice` of random.Random.
    """
    words = words_of(tokens, longest, is_start)
    chosen = chosen_words(len(words), longest, int(1 / rate), rng)
    budget = min(80, max(1, round(len(tokens) * rate)))  # 53-54 and 74
    tokens, labels, count = list(tokens), [0] * len(tokens), 0
    for is_chosen, word in zip(chosen, words, strict=True):
        if not is_chosen:
            continue
        for place in word:
            labels[place] = tokens[place]
            draw = rng.random()
            tokens[place] = MASK if draw < mask else tokens[place] if draw < mask + keep else rng.choice(ordinary)
        count += len(word)
        if count >= budget:
            break
    return tokens, labels


def words_of(tokens, longest, is_start):
    """The places of each word; a piece that starts no word joins the word before (67-72). One token each for one."""
    words = []
    for place, token in enumerate(tokens):
        if token in (MASK, CLS, SEP, PAD, UNK):
            continue
        if longest > 1 and words and not is_start[token]:
            words[-1].append(place)
        else:
            words.append([place])
    return words


def chosen_words(count, longest, window, rng: random.Random):
    """Whether each of `count` words is in a run (77-85)."""
    chosen, offset = [False] * count, 0
    weights = [1 / n for n in range(1, longest + 1)]
    while offset < count:
        draw, n = rng.random() * sum(weights), 1
        while n < longest and draw >= sum(weights[:n]):
            n += 1
        context = min(n * window, count - offset)
        start = offset + rng.randint(0, context - 1)
        end = min(start + n, count)
        chosen[start:end] = [True] * (end - start)
        offset = max(offset + context, end)
    return chosen
