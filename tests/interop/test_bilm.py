"""The Allen Institute's fixture: its weights, and what its own code made of thirty sentences."""

import json
import shutil

import jax
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.interop.bilm import Bilm, load_bilm, save_bilm
from plmjax.interop.weight_map import flatten
from plmjax.modules import FAMILIES, build

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def fixture(data_dir):
    if not (path := data_dir / "elmo_bilm_fixture").is_dir():
        pytest.skip(f"no ELMo fixture at {path}")
    return path


@pytest.fixture(scope="module")
def fresh():
    """A biLM of no release: a residual, tanh, no highway layer, no projection of cells."""
    tiny = FAMILIES["elmo"].variants["tiny"]
    tiny = type(tiny)(
        num_layers=3, d_model=8, d_cell=8, characters=10, character_width=4, filters=((1, 4), (2, 4)), num_highway=0,
        activation="tanh", cell_clip=0.0, heads=(), dropout=0.0,
    )  # fmt: skip
    return Bilm(tiny, build(tiny).init(jax.random.key(0))["params"])


def test_activations_are_the_released_ones(fixture):
    """Ten batches of three sentences, as in the released test, the states carried from each to the next."""
    bilm = load_bilm(fixture)
    columns = json.loads((fixture / "lm_embeddings_sentences.json").read_text())
    files = [h5py.File(fixture / f"lm_embeddings_{column}.hdf5", "r") for column in range(len(columns))]
    memory, worst, alone = None, 0.0, 0.0
    for number in range(10):
        sentences = [column[number].split() for column in columns]
        vectors, memory = bilm.embed(sentences, memory)
        fresh, _ = bilm.embed(sentences)
        for file, words, layers, without in zip(files, sentences, vectors, fresh, strict=True):
            ahead, back = np.asarray(file[str(number)])
            assert layers.shape == (3, len(words), 32)
            worst = max(worst, np.abs(layers[2] - np.concatenate([ahead, back], axis=-1)).max())
            alone = max(alone, np.abs(layers[2] - without[2]).max())
    assert worst < 1e-5
    assert alone > 1e-2  # the state that is carried over counts


def test_round_trip_is_exact(fixture, tmp_path):
    bilm = load_bilm(fixture)
    save_bilm(bilm, tmp_path)
    again = load_bilm(tmp_path)
    assert again.config == bilm.config
    theirs, ours = h5py.File(fixture / "lm_weights.hdf5", "r"), h5py.File(tmp_path / "weights.hdf5", "r")
    found = []

    def compare(name, item):
        if isinstance(item, h5py.Dataset):
            found.append(name)
            np.testing.assert_array_equal(item[()], ours[name][()], err_msg=name)
            assert ours[name].dtype == item.dtype

    theirs.visititems(compare)
    count = []
    ours.visititems(lambda name, item: count.append(name) if isinstance(item, h5py.Dataset) else None)
    assert sorted(count) == sorted(found)


def test_other_sizes_round_trip(fresh, tmp_path):
    save_bilm(fresh, tmp_path)
    again = load_bilm(tmp_path)
    assert again.config == fresh.config
    for path, leaf in flatten(fresh.params).items():
        np.testing.assert_array_equal(flatten(again.params)[path], leaf, err_msg=path)


def test_what_is_wrong_is_named(fresh, tmp_path):
    with pytest.raises(UserError, match=r"has 0 files \*options.json and 0 files"):
        load_bilm(tmp_path)
    save_bilm(fresh, tmp_path)
    shutil.copy(tmp_path / "weights.hdf5", tmp_path / "other.hdf5")
    with h5py.File(tmp_path / "weights.hdf5", "a") as file:
        del file["CNN/b_cnn_1"]
    with pytest.raises(UserError, match="lacks the array 'CNN/b_cnn_1'"):
        load_bilm(tmp_path)
    (tmp_path / "weights.hdf5").write_bytes(b"nothing")
    with pytest.raises(UserError, match="can't be read as an HDF5 file"):
        load_bilm(tmp_path)
    (tmp_path / "options.json").write_text('{"lstm": {}}')
    with pytest.raises(UserError, match="is not the options.json of an ELMo"):
        load_bilm(tmp_path)
    with pytest.raises(UserError, match="no sentence to embed"):
        fresh.embed([])
