import dataclasses

import numpy as np
import pytest

from plmjax.data.store import index_cache
from plmjax.data.windows import SegmentPair


@pytest.fixture
def kept(split, tmp_path):
    return dataclasses.replace(split, fingerprint="f", index_cache=tmp_path / "index_cache")


def test_plan_is_built_once(kept):
    built = []

    def build():
        built.append(1)
        return np.arange(6).reshape(2, 3)

    for _ in range(3):
        assert index_cache.cached_index(kept, "a", build).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert len(built) == 1
    index_cache.cached_index(kept, "b", build)
    index_cache.cached_index(dataclasses.replace(kept, fingerprint="g"), "a", build)
    assert len(built) == 3
    assert len(list(kept.index_cache.iterdir())) == 3


def test_damaged_plan_is_built_again(kept):
    index_cache.cached_index(kept, "a", lambda: np.arange(3))
    (file,) = kept.index_cache.iterdir()
    file.write_bytes(b"nonsense")
    assert index_cache.cached_index(kept, "a", lambda: np.arange(3)).tolist() == [0, 1, 2]
    assert np.load(file).tolist() == [0, 1, 2]


def test_folder_that_cannot_be_made_is_no_error(kept, tmp_path):
    (tmp_path / "index_cache").write_text("a file is in the way")
    assert index_cache.cached_index(kept, "a", lambda: np.arange(3)).tolist() == [0, 1, 2]


def test_windows_from_a_kept_plan_are_the_same(kept, split, vocabulary):
    first, second, memory = (SegmentPair().build(s, vocabulary, 64, seed=0) for s in (kept, kept, split))
    assert isinstance(second._ranges, np.memmap)
    assert (first._ranges == memory._ranges).all() and (second._ranges == memory._ranges).all()
    assert (second[3]["tokens"] == memory[3]["tokens"]).all()
    other = SegmentPair().build(kept, vocabulary, 64, seed=1)
    assert other._ranges.shape != memory._ranges.shape or (other._ranges != memory._ranges).any()
