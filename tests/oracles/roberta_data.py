"""RoBERTa's data in plain NumPy, from facebookresearch/fairseq @ fairseq/data.

Whole sentences are packed by `complete` and `complete_doc` of token_block_utils_fast.pyx, lines 65-97, and
tasks/masked_lm.py puts <s> before each. Masks: MaskTokensDataset of mask_tokens_dataset.py, 139-226.
"""

import numpy as np

from tests.oracles.kit import MASK


def blocks(documents, room, crossing):
    """Blocks of whole sentences of at most `room` tokens, over the ends of documents or not.

    [] stands for the end of a document within a block, which takes a token, as the empty line of a corpus does. At a
    block's start or end it is left out, here as in plmjax.
    """
    found, block, size = [], [], 0

    def close():
        nonlocal block, size
        while block and not block[-1]:
            block.pop()
        if block:
            found.append(block)
        block, size = [], 0

    for document in documents:
        for line in (*document, []):
            cost = len(line) or 1
            if size + cost > room or not (crossing or line):
                close()
            if line or (crossing and block):
                block.append(line)
                size += cost
    close()
    return found


def masked(tokens, rate, words, numbers: np.random.RandomState):
    """(tokens, whether each is a target): any token may be one; a fraction is one more with that chance."""
    size, tokens = len(tokens), np.array(tokens)
    mask = np.zeros(size, bool)
    mask[numbers.choice(size, int(rate * size + numbers.random_sample()), replace=False)] = True
    other = mask & (numbers.random_sample(size) < 0.2)  # a tenth is kept, a tenth random
    kept = other & (numbers.random_sample(size) < 0.5)
    output = np.where(mask & ~kept, MASK, tokens)
    return np.where(other & ~kept, numbers.choice(words, size), output), mask
