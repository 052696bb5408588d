"""RoBERTa's windows in plain Python, from facebookresearch/fairseq @ fairseq/data/token_block_utils_fast.pyx.

Whole sentences are packed by `complete` and `complete_doc` (lines 65-97); fairseq/tasks/masked_lm.py puts <s> before
each.
"""


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
