"""ALBERT's data in plain Python and NumPy, from the rules of google-research/albert @ create_pretraining_data.py.

Order of two segments: create_instances_from_document, lines 266-386, without --random_next_sentence; n-grams:
create_masked_lm_predictions, 426-598, with --do_whole_word_mask, --ngram 3 and --favor_shorter_ngram.
"""

import random

import numpy as np

from tests.oracles.bert_data import random_text, replaced, truncated
from tests.oracles.kit import CLS, SEP


def pairs_of_document(documents, index, length, rng: random.Random, short=0.1, lone="random"):
    """(A, B, label) of a pass over one document: label 1 is the wrong order (266-386).

    A chunk of one sentence gets a random text as B, with label 1 (314-337). With `lone` "cut" it is cut in two at a
    random token instead, and may be swapped, as plmjax has it by default: a random text is no order.
    """
    document, room = documents[index], length - 3
    target = rng.randint(2, room) if rng.random() < short else room
    pairs, chunk = [], []
    for i, sentence in enumerate(document):
        chunk.append(sentence)
        if i < len(document) - 1 and sum(map(len, chunk)) < target:
            continue
        if len(chunk) == 1 and lone == "cut":
            if len(sentence) == 1:
                rng.randint(1, 1)  # a draw that decides nothing
                chunk = []
                continue
            middle = rng.randint(1, len(sentence) - 1)
            chunk = [sentence[:middle], sentence[middle:]]
            a_end = 1
        else:
            a_end = rng.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
        a, b = ([token for part in parts for token in part] for parts in (chunk[:a_end], chunk[a_end:]))
        if len(chunk) == 1:
            b, label = random_text(documents, index, target - len(a), rng), 1
        elif label := int(rng.random() < 0.5):
            a, b = b, a
        pairs.append((*truncated(a, b, room, rng), label))
        chunk = []
    return pairs


def masked(tokens, rate, most, words, starts, rng: random.Random, numbers: np.random.RandomState, longest=3):
    """(tokens, positions, labels) of a text masked by runs of whole words (426-548)."""
    candidates = []
    for place, token in enumerate(tokens):
        if token in (CLS, SEP):
            continue
        if candidates and not starts[token]:
            candidates[-1].append(place)
        else:
            candidates.append([place])
    budget = min(most, max(1, round(len(tokens) * rate)))
    shares = 1.0 / np.arange(1, longest + 1)
    runs = [[candidates[at : at + n] for n in range(1, longest + 1)] for at in range(len(candidates))]
    rng.shuffle(runs)
    output, labels = list(tokens), {}
    for run in runs:
        if len(labels) >= budget:
            break
        drawn = numbers.choice(np.arange(1, longest + 1), p=shares / shares.sum())
        # The drawn number of words, or the next smaller one that still fits (503-510).
        fitting = [run[n - 1] for n in range(drawn, 0, -1) if len(labels) + sum(map(len, run[n - 1])) <= budget]
        places = [place for word in fitting[0] for place in word] if fitting else []
        if not places or any(place in labels for place in places):
            continue
        for place in places:
            output[place] = replaced(tokens[place], words, rng)
            labels[place] = tokens[place]
    positions = sorted(labels)
    return output, positions, [labels[place] for place in positions]
