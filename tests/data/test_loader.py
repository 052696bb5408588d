import itertools

import numpy as np
import pytest

from plmjax.data.loader import Loader
from plmjax.data.windows import Chunks, DocSentences, SegmentPair, Streams
from plmjax.errors import UserError


@pytest.fixture(scope="module", params=[Chunks(isolate=True), DocSentences(), SegmentPair()])
def windows(request, split, vocabulary):
    return request.param.build(split, vocabulary, 32, seed=0)


def same(first, second):
    return first.keys() == second.keys() and all((first[name] == second[name]).all() for name in first)


def test_batch_has_fields_ids_and_epochs(windows):
    batch = Loader(windows, 4, seed=1).batch(0)
    assert set(batch) == set(windows[0]) | {"example_ids", "epochs"}
    assert batch["tokens"].shape == (4, 32)
    assert all(values.dtype == np.int32 and len(values) == 4 for values in batch.values())
    for row, index in enumerate(batch["example_ids"]):
        assert all((batch[name][row] == values).all() for name, values in windows[int(index)].items())


def test_batch_is_a_pure_function_of_seed_and_step(windows):
    loader, other = Loader(windows, 5, seed=3), Loader(windows, 5, seed=3)
    forwards = [loader.batch(step) for step in range(12)]
    backwards = [other.batch(step) for step in reversed(range(12))][::-1]
    assert all(map(same, forwards, backwards))
    assert not same(forwards[0], Loader(windows, 5, seed=4).batch(0))


def test_hosts_read_the_rows_of_one_global_batch(windows):
    whole = Loader(windows, 6, seed=0)
    even, odd = (Loader(windows, 6, seed=0, rows=rows) for rows in ([0, 2, 4], [1, 3, 5]))
    for step in (0, 7, 1000):
        batch, parts = whole.batch(step), (even.batch(step), odd.batch(step))
        for name in batch:
            assert (batch[name][0::2] == parts[0][name]).all() and (batch[name][1::2] == parts[1][name]).all()


def test_every_example_once_an_epoch_in_a_new_order(windows):
    count = len(windows)
    loader = Loader(windows, 7, seed=0)
    steps = -(-3 * count // 7)
    batches = [loader.batch(step) for step in range(steps)]
    ids = np.concatenate([batch["example_ids"] for batch in batches])[: 3 * count].reshape(3, count)
    epochs = np.concatenate([batch["epochs"] for batch in batches])[: 3 * count].reshape(3, count)
    assert (epochs == np.arange(3)[:, None]).all()
    assert (np.sort(ids) == np.arange(count)).all()
    for first, second in itertools.combinations([*ids, np.arange(count)], 2):
        assert (first == second).mean() < 0.2


def test_seeds_are_not_one_epoch_apart(windows):
    """Grain numbers an epoch's permutation by seed + epoch: neighbouring seeds must not share permutations."""
    count = len(windows)
    first = [Loader(windows, count, seed=0).batch(step)["example_ids"].tolist() for step in range(3)]
    second = [Loader(windows, count, seed=1).batch(step)["example_ids"].tolist() for step in range(3)]
    assert not any(a == b for a in first for b in second)


def test_order_does_not_depend_on_the_batch_size(windows):
    small, large = Loader(windows, 2, seed=0), Loader(windows, 8, seed=0)
    ids = np.concatenate([small.batch(step)["example_ids"] for step in range(8)])
    assert (ids == np.concatenate([large.batch(step)["example_ids"] for step in range(2)])).all()


def test_stream_starts_anywhere(windows):
    loader = Loader(windows, 4, seed=0)
    for start in (0, 5, 10_000):
        for expected, (step, batch) in zip(range(start, start + 4), loader.stream(start), strict=False):
            assert step == expected
            assert same(batch, loader.batch(step))


def test_one_pass_in_order_fills_up_the_last_batch(windows):
    loader = Loader(windows, 5, shuffle=False)
    batches = [batch for _, batch in loader.stream()]
    assert len(batches) == loader.num_batches == -(-len(windows) // 5)
    ids = np.concatenate([batch["example_ids"] for batch in batches])
    assert (ids[: len(windows)] == np.arange(len(windows))).all() and (ids[len(windows) :] == -1).all()
    last = Loader(windows, len(windows) + 3, shuffle=False).batch(0)
    assert not last["segments"][-3:].any() and (last["tokens"][-3:] == windows.padding).all()
    assert last["segments"][:-3].any(axis=1).all()
    assert not last["epochs"].any()
    with pytest.raises(IndexError):
        loader.batch(loader.num_batches)


def test_hosts_share_the_last_batch_too(windows):
    size = len(windows) + 1
    tail = Loader(windows, size, shuffle=False, rows=[size - 1]).batch(0)
    assert tail["example_ids"].tolist() == [-1] and not tail["segments"].any()


def test_steps_per_epoch(windows):
    assert Loader(windows, 8).steps_per_epoch == len(windows) / 8


def test_bad_arguments(windows):
    with pytest.raises(UserError, match="batch of 0"):
        Loader(windows, 0)
    with pytest.raises(ValueError, match=r"0\.\.3"):
        Loader(windows, 4, rows=[4])


def test_consecutive_windows_are_read_on_by_each_row(split, vocabulary):
    windows = Streams(overlap=1).build(split, vocabulary, 9, seed=0)
    loader, stretch = Loader(windows, 3, seed=5), len(windows) // 3
    batches = [loader.batch(step) for step in range(2 * stretch + 1)]
    assert [int(batch["continues"][0]) for batch in batches[: stretch + 1]] == [0] + [1] * (stretch - 1) + [0]
    text = Chunks(overlap=0).build(split, vocabulary, len(windows) * 8, seed=0)[0]["tokens"]
    for row in range(3):
        read = np.concatenate([batch["tokens"][row, :-1] for batch in batches[:stretch]])
        assert (read == text[row * stretch * 8 :][: len(read)]).all()
        assert all(
            (a["tokens"][row, -1] == b["tokens"][row, 0]).all() for a, b in itertools.pairwise(batches[:stretch])
        )
    assert same(batches[0] | {"epochs": batches[stretch]["epochs"]}, batches[stretch])
    assert batches[stretch]["epochs"].tolist() == [1, 1, 1]
    assert loader.steps_per_epoch == loader.num_batches == stretch
    one_pass = Loader(windows, 3, shuffle=False, rows=[2])
    assert (one_pass.batch(1)["tokens"][0] == batches[1]["tokens"][2]).all()
    with pytest.raises(UserError, match=f"{len(windows)} windows of text, too few for {len(windows) + 1} rows"):
        Loader(windows, len(windows) + 1)
