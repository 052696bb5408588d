"""Special tokens that a recipe lets stand for themselves in a text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.finetune.setup import FineTuneSetup
from plmjax.tasks.classification import ClassificationTask
from plmjax.train.config import MeshConfig
from plmjax.train.sharding import make_mesh
from tests.finetune.kit import checkpoint, recipe, tokenizer_in, write_tsv

MARKERS = ("[E1]", "[/E1]")


@pytest.mark.parametrize("markers", [None, (), MARKERS[:1], MARKERS])
def test_markers_of_a_recipe(markers: tuple[str, ...] | None, tmp_path: Path) -> None:
    tokenizer = tokenizer_in(str(tmp_path / "tokenizer")).with_extra_tokens(MARKERS).with_markers(MARKERS)
    rows = [["the [E1] film [/E1] was good", "good"], ["a [E1] story [/E1]", "bad"]]
    task = ClassificationTask(
        train=str(write_tsv(tmp_path / "train.tsv", rows)),
        validation=str(write_tsv(tmp_path / "validation.tsv", rows)),
        columns=("text", "label"),
    )
    setup = FineTuneSetup(
        checkpoint(tokenizer), task, replace(recipe(), markers=markers), make_mesh(MeshConfig()), from_random=True
    )
    expected = MARKERS if markers is None else markers
    assert setup.tokenizer.markers == setup.pretrained.tokenizer.markers == expected
    for feature in setup.splits["train"].features:
        tokens = np.concatenate([np.ravel(value) for value in feature.sequences.values()])
        assert [name for name in MARKERS if tokenizer.vocabulary.named[name] in tokens] == list(expected)


def test_a_marker_that_is_no_token(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(str(tmp_path / "tokenizer"))
    task = ClassificationTask(train="unread.tsv")
    with pytest.raises(UserError, match=r"markers has '\[E1\]', which is no special token of this tokenizer"):
        FineTuneSetup(checkpoint(tokenizer), task, replace(recipe(), markers=MARKERS), make_mesh(MeshConfig()), True)
