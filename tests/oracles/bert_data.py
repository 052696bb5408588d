"""BERT's data in plain Python and NumPy, from the rules of google-research/bert @ create_pretraining_data.py.

Pairs of segments: create_instances_from_document, lines 223-335; masks: create_masked_lm_predictions, 342-415; cutting
a pair: truncate_seq_pair, 418-433. Documents are lists of sentences of ids.
"""

import random

from tests.oracles.kit import CLS, MASK, SEP


def pairs_of_document(documents, index, length, rng: random.Random, short=0.1):
    """(A, B, label) of a pass over one document (223-335): label 1 is a random B.

    The released coin says "random" below one half; here it does from one half on, which is as likely, so that the same
    draws decide the same here and in plmjax.
    """
    document, room = documents[index], length - 3
    target = rng.randint(2, room) if rng.random() < short else room
    pairs, chunk, i = [], [], 0
    while i < len(document):
        chunk.append(document[i])
        if i == len(document) - 1 or sum(map(len, chunk)) >= target:
            a_end = rng.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
            a = [token for sentence in chunk[:a_end] for token in sentence]
            label = int(len(chunk) == 1 or rng.random() >= 0.5)
            if label:
                b = random_text(documents, index, target - len(a), rng)
                i -= len(chunk) - a_end
            else:
                b = [token for sentence in chunk[a_end:] for token in sentence]
            pairs.append((*truncated(a, b, room, rng), label))
            chunk = []
        i += 1
    return pairs


def random_text(documents, index, target, rng: random.Random):
    """Sentences of another document from a random one on, until there are `target` tokens (273-289)."""
    for _ in range(10):
        other = rng.randint(0, len(documents) - 1)
        if other != index:
            break
    text = []
    for sentence in documents[other][rng.randint(0, len(documents[other]) - 1) :]:
        text += sentence
        if len(text) >= target:
            break
    return text


def truncated(a, b, room, rng: random.Random):
    """Takes tokens from the longer text, at a random end, until both fit (418-433)."""
    a, b = list(a), list(b)
    while len(a) + len(b) > room:
        longer = a if len(a) > len(b) else b
        longer.pop(0 if rng.random() < 0.5 else -1)
    return a, b


def packed(a, b):
    """(tokens, segment ids) of `[CLS] A [SEP] B [SEP]` (304-319)."""
    return [CLS, *a, SEP, *b, SEP], [0] * (len(a) + 2) + [1] * (len(b) + 1)


def masked(tokens, rate, most, words, starts, rng: random.Random):
    """(tokens, positions, labels) of a masked text (342-415).

    Args:
        most: max_predictions_per_seq.
        words: ids that random replacement draws from.
        starts: for each id whether it begins a word; None masks tokens, not whole words.
    """
    candidates = []
    for place, token in enumerate(tokens):
        if token in (CLS, SEP):
            continue
        if starts is not None and candidates and not starts[token]:
            candidates[-1].append(place)
        else:
            candidates.append([place])
    rng.shuffle(candidates)
    budget = min(most, max(1, round(len(tokens) * rate)))
    output, labels = list(tokens), {}
    for places in candidates:
        if len(labels) >= budget:
            break
        if len(labels) + len(places) > budget:
            continue
        for place in places:
            output[place] = replaced(tokens[place], words, rng)
            labels[place] = tokens[place]
    positions = sorted(labels)
    return output, positions, [labels[place] for place in positions]


def replaced(token, words, rng: random.Random):
    """80% [MASK], 10% the token, 10% a random one (391-401)."""
    if rng.random() < 0.8:
        return MASK
    return token if rng.random() < 0.5 else words[rng.randint(0, len(words) - 1)]
