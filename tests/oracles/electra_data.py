"""ELECTRA's data in plain Python and NumPy, from the rules of google-research/electra.

Windows: build_pretraining_dataset.py, ExampleBuilder 34-114. Masks: pretrain/pretrain_helpers.py, mask 145-213 and
scatter_update 62-118; samples: run_pretraining.py, _get_fake_data 220-241. Documents are lists of sentences of ids.
"""

import random

import numpy as np

from tests.oracles.kit import CLS, MASK, SEP


def windows_of(documents, length, rng: random.Random):
    """(tokens, types) of each example of the text, in order."""
    found, target = [], length
    for document in documents:
        sentences = []
        for number, sentence in enumerate(document):
            sentences.append(sentence)
            if sum(map(len, sentences)) >= target or number == len(document) - 1:
                found.append(segments_of(sentences, target, length, rng))
                sentences = []
                target = rng.randint(5, length) if rng.random() < 0.05 else length  # 90-93
    return found


def segments_of(sentences, target, length, rng: random.Random):
    """One example of its sentences (57-104)."""
    room = 100_000 if rng.random() < 0.1 else (target - 3) // 2
    first, second = [], []
    for sentence in sentences:
        if not first or len(first) + len(sentence) < room or (not second and len(first) < room and rng.random() < 0.5):
            first = first + sentence
        else:
            second = second + sentence
    first = first[: length - 2]
    second = second[: max(0, length - len(first) - 3)]
    tokens, types = [CLS, *first, SEP], [0] * (len(first) + 2)
    if second:
        tokens, types = [*tokens, *second, SEP], types + [1] * (len(second) + 1)
    return tokens, types


def written(tokens, updates, positions):
    """`tokens` with `updates` at `positions`; twice the same one gives the mean, cut; the first token never changes."""
    sums, counts = {}, {}
    for position, update in zip(positions, updates, strict=True):
        sums[position] = sums.get(position, 0) + update
        counts[position] = counts.get(position, 0) + 1
    return [
        sums[place] // counts[place] if place > 0 and place in counts else token for place, token in enumerate(tokens)
    ]


def masked(tokens, rate, room, rng: np.random.Generator):
    """(masked tokens, positions, labels, how many count) of one text without padding.

    Positions are drawn from all tokens but [CLS], [SEP] and [MASK], each draw from all of them; 85% become [MASK].
    """
    count = max(1, min(room, round(len(tokens) * rate)))
    candidates = [place for place, token in enumerate(tokens) if token not in (CLS, SEP, MASK)]
    positions = [int(place) for place in rng.choice(candidates, size=count)]
    labels = [tokens[place] for place in positions]
    hidden = [place if rng.random() < 0.85 else 0 for place in positions]
    return written(tokens, [MASK] * count, hidden), positions, labels


def replaced(tokens, positions, samples):
    """(what the discriminator reads, whether each token was replaced): a sample that is the original was not."""
    read = written(tokens, samples, positions)
    return read, [int(one != other) for one, other in zip(read, tokens, strict=True)]
