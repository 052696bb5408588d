"""SpanBERT's data in plain Python and NumPy, from the rules of facebookresearch/SpanBERT @ pretraining/fairseq/data.

Blocks of one document: BlockDataset of no_nsp_span_bert_dataset.py, lines 66-96; spans: PairWithSpanMaskingScheme of
masking.py, 90-135; replacement and boundaries: span_masking, 242-272, with --replacement-method span; `<s>` and the
shift by one: no_nsp_span_bert_dataset.py, 148-162.
"""

import math

import numpy as np

from tests.oracles.kit import CLS, MASK, SEP


def blocks(documents, length):
    """The texts of a corpus (66-96): whole sentences of a document as long as they fit; longer sentences are left out.

    Where the last sentence of a document is too long, the sentences before it are lost too (82-85).
    """
    room, found = length - 2, []
    for document in documents:
        chunk, i = [], 0
        while i < len(document):
            if len(document[i]) <= room:
                chunk.append(document[i])
                size = sum(map(len, chunk))
                if i == len(document) - 1 or size > room:
                    if size > room:
                        chunk.pop()
                        i -= 1
                    if chunk:
                        found.append([token for sentence in chunk for token in sentence])
                    chunk = []
            i += 1
    return found


def masked(text, rate, words, starts, numbers: np.random.RandomState, stop=0.2, longest=10, most=15, shares=(0.8, 0.1)):
    """(tokens, {position: (label, left, right, offset)}) of `[CLS] text [SEP]`; -1s where no boundary predicts it.

    `shares`: of spans that become masks, and random tokens.
    """
    size = len(text)
    budget = math.ceil(size * rate)
    lengths = np.arange(1, longest + 1)
    likely = stop * (1 - stop) ** (lengths - 1)
    chosen, spans = set(), []
    while len(chosen) < budget:
        words_left = numbers.choice(lengths, p=likely / likely.sum())
        at = numbers.choice(size)
        if at in chosen:
            continue
        while at > 0 and not starts[text[at]]:
            at -= 1
        span = []
        while words_left and at < size and len(chosen) < budget:
            end = next((k for k in range(at + 1, size) if starts[text[k]]), size)
            for place in range(at, end):
                if len(chosen) < budget:
                    chosen.add(place)
                    span.append(place)
            at, words_left = end, words_left - 1
        spans.append((span[0], span[-1]))
    return replaced(text, merged(spans), words, numbers, most, shares)


def merged(spans):
    """Spans that overlap or touch are one (masking.py, 274-287)."""
    found = []
    for start, end in sorted(spans):
        if found and found[-1][1] + 1 >= start:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def replaced(text, spans, words, numbers, most, shares):
    """One draw for each span; its boundaries where both lie within the text (masking.py, 250-269)."""
    output, targets = list(text), {}
    for start, end in spans:
        has_boundary = start > 0 and end < len(text) - 1
        chance = numbers.random_sample()
        for place in range(start, end + 1):
            is_told = has_boundary and place - start < most
            boundary = (start, end + 2, place - start) if is_told else (-1, -1, -1)
            targets[place + 1] = (text[place], *boundary)  # + 1: behind [CLS]
            if chance < sum(shares):
                output[place] = MASK if chance < shares[0] else numbers.choice(words)
    return [CLS, *output, SEP], targets
