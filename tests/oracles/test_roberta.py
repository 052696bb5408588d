"""RoBERTa's batches are those of the released data code (see roberta_data.py): windows field by field, the masks of
`roberta.py:base` in distribution.

On purpose: as in the paper, a separator parts documents, not sentences, each of which the released code closes with
</s>; a window neither begins nor ends with one; a sentence longer than a window is cut, where the released code makes a
block of it, which is cut or left out later; a document of one token is kept.
"""

import numpy as np
import pytest

from experiments.configs import roberta as configs
from plmjax.data.windows import DocSentences, FullSentences
from tests.oracles import roberta_data
from tests.oracles.kit import (
    BOUND,
    CLS,
    DRAWS,
    SEP,
    a_split,
    a_vocabulary,
    corruptions,
    joined,
    p_value,
    random_documents,
    window,
)


@pytest.mark.parametrize("length", [26, 48, 300])
@pytest.mark.parametrize("crossing", [True, False])
def test_windows_are_equal_field_by_field(length, crossing):
    documents = random_documents(0, 200, tokens=(2, 25))
    config = FullSentences() if crossing else DocSentences()
    windows = config.build(a_split(documents), a_vocabulary(), length, seed=0)
    expected = roberta_data.blocks(documents, length - 2, crossing)
    assert len(windows) == len(expected) > 30
    assert any(not line for block in expected for line in block) == crossing
    for number, block in enumerate(expected):
        row = [CLS, *(token for line in block for token in (line or [SEP])), SEP]
        found = windows[number]
        assert found["tokens"][: len(row)].tolist() == row
        assert found["segments"].tolist() == [1] * len(row) + [0] * (length - len(row))


def test_masks_are_equal_in_distribution():
    """Tokens and targets of 10,000 masks of one text, which has 1.65 targets on average, as whole rows."""
    vocabulary = a_vocabulary(ordinary=3)
    text = [CLS, 8, 9, 8, 7, 7, SEP, 9, 9, 8, SEP]
    batch = corruptions(configs.get_config("base").objective, window(text), vocabulary)
    is_target = batch["weights"] > 0
    assert (batch["targets"] == np.where(is_target, np.array(text)[batch["masked_positions"]], 0)).all()
    ours = ((batch["masked_positions"][..., None] == np.arange(11)) & is_target[..., None]).any(1)
    numbers = np.random.RandomState(1)
    tokens, theirs = zip(*(roberta_data.masked(text, 0.15, [7, 8, 9], numbers) for _ in range(DRAWS)), strict=True)
    assert {1, 2} == set(ours.sum(1)) == set(np.sum(theirs, 1))
    assert p_value(ours, theirs) > BOUND
    assert p_value(joined(batch["tokens"], ours), joined(tokens, theirs)) > BOUND
