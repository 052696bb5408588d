"""RoBERTa's windows are those of the released data code (see roberta_data.py), field by field.

On purpose: as in the paper, a separator parts documents, not sentences, each of which the released code closes with
</s>; a window neither begins nor ends with one; a sentence longer than a window is cut, where the released code makes a
block of it, which is cut or left out later; a document of one token is kept.
"""

import pytest

from plmjax.data.windows import DocSentences, FullSentences
from tests.oracles import roberta_data
from tests.oracles.kit import CLS, SEP, a_split, a_vocabulary, random_documents


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
