"""XLNet's permutation LM on real windows and a small network."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.loader import Loader
from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.data.windows import DocSentences, FullSentences, Streams
from plmjax.errors import UserError
from plmjax.modules.bert import BertConfig
from plmjax.modules.xlnet import XLNetConfig
from plmjax.objectives.permutation_lm import (
    PartialPrediction,
    PermutationLM,
    RecurrentPermutationLM,
    target_mapping,
)
from tests.objectives.conftest import SIZE, SMALL, SPECIALS, bound
from tests.objectives.kit import corrupted, losses_of, windows_of

LENGTH, ROWS = 41, 16
SPANS = PermutationLM(window=DocSentences())
SINGLE = PermutationLM(window=DocSentences(), prediction=PartialPrediction(spans=False, block=15))
EACH = PermutationLM(window=DocSentences(), prediction=PartialPrediction(k=1, spans=False))
REMEMBERING = RecurrentPermutationLM(window=Streams(overlap=10, both_ways=True))
NETWORK = XLNetConfig(**SMALL)


@pytest.fixture(scope="module")
def clean(split, vocabulary):
    return windows_of(SPANS, split, vocabulary, LENGTH, ROWS)


@pytest.mark.parametrize("objective", [SPANS, SINGLE, EACH], ids=["spans", "single", "each"])
def test_a_share_of_the_tokens_is_predicted_and_the_text_stays(clean, vocabulary, objective):
    batch = corrupted(objective, vocabulary, clean)
    np.testing.assert_array_equal(batch["tokens"], clean["tokens"])
    candidates = (clean["segments"] > 0) & ~vocabulary.is_special[clean["tokens"]]
    real = (clean["segments"] > 0).sum(1)
    k = objective.prediction.k
    wanted = np.minimum([max(1, int(n / k)) for n in real], candidates.sum(1))
    np.testing.assert_array_equal(batch["weights"].sum(1), wanted)
    assert batch["weights"].shape == (ROWS, int(LENGTH / k)) and len(set(real)) > 5
    rows, places = np.nonzero(batch["weights"])
    positions = batch["masked_positions"][rows, places]
    assert len(set(zip(rows, positions, strict=True))) == len(rows) and candidates[rows, positions].all()
    np.testing.assert_array_equal(batch["targets"][rows, places], clean["tokens"][rows, positions])
    assert batch["perm_mask"][rows, positions, positions].all()


def test_half_of_all_pairs_of_predicted_tokens_see_each_other_one_way(clean, vocabulary):
    """Over a window of one block; of two blocks, none of the earlier sees one of the later."""
    for objective, block in ((SPANS, LENGTH), (SINGLE, 15)):
        forward = pairs = 0
        for epoch in range(30):
            batch = corrupted(objective, vocabulary, clean, epoch)
            for row in range(ROWS):
                places = batch["masked_positions"][row][batch["weights"][row] > 0]
                sees = ~batch["perm_mask"][row][np.ix_(places, places)]
                assert (sees ^ sees.T ^ np.eye(len(places), dtype=bool)).all() and not sees.diagonal().any()
                same = places[:, None] // block == places[None] // block
                assert not sees[(places[:, None] // block) < (places[None] // block)].any()
                after = same & (places[:, None] < places[None])
                forward, pairs = forward + sees[after].sum(), pairs + after.sum()
        assert abs(forward / pairs - 0.5) < 3 * 0.5 / np.sqrt(pairs / 2)  # pairs of one draw are not independent


def test_orders_are_new_in_each_epoch_unless_static(clean, vocabulary):
    first, later = (corrupted(SPANS, vocabulary, clean, epoch) for epoch in (0, 3))
    assert (first["perm_mask"] == later["perm_mask"]).all((1, 2)).mean() < 0.2
    static = dataclasses.replace(SPANS, static=True)
    first, later = (corrupted(static, vocabulary, clean, epoch) for epoch in (0, 3))
    np.testing.assert_array_equal(first["perm_mask"], later["perm_mask"])


def test_the_loss_is_of_the_query_stream(clean, vocabulary, two_stream):
    batch = corrupted(SPANS, vocabulary, clean)
    losses, metrics = losses_of(SPANS, two_stream, vocabulary)(batch)
    mapping = target_mapping(batch["masked_positions"], batch["weights"], LENGTH)
    g_BMD = two_stream.two_streams(
        batch["tokens"], batch["perm_mask"], mapping, batch["token_types"], batch["segments"]
    ).g
    scores = np.array(two_stream.token_logits(g_BMD))
    scores[..., vocabulary.size :] = -1e30
    logs = np.asarray(jax.nn.log_softmax(jnp.asarray(scores)))
    real = batch["weights"] > 0
    values = -np.take_along_axis(logs, batch["targets"][..., None], -1)[..., 0][real]
    np.testing.assert_allclose(losses["permutation_lm"].mean(), values.mean(), rtol=1e-5)
    assert losses["permutation_lm"].weight == real.sum()
    accuracy = (scores.argmax(-1) == batch["targets"])[real].mean()
    np.testing.assert_allclose(metrics["permutation_lm_accuracy"].mean(), accuracy, rtol=1e-5)


def test_a_tokens_own_content_does_not_move_its_loss(clean, vocabulary, two_stream):
    """Another token in the place of the one that is predicted: its loss hears of it by no other way."""
    one = dataclasses.replace(SPANS, prediction=PartialPrediction(k=LENGTH))
    batch = corrupted(one, vocabulary, clean)
    run = losses_of(one, two_stream, vocabulary)
    changed = batch | {"tokens": batch["tokens"].copy()}
    rows = np.arange(ROWS)
    changed["tokens"][rows, batch["masked_positions"][:, 0]] = 50
    np.testing.assert_array_equal(run(batch)[0]["permutation_lm"].sum, run(changed)[0]["permutation_lm"].sum)
    elsewhere = batch | {"tokens": batch["tokens"].copy()}
    elsewhere["tokens"][rows, 2] = 50
    assert run(batch)[0]["permutation_lm"].sum != run(elsewhere)[0]["permutation_lm"].sum


@pytest.fixture(scope="module")
def read_on(split, vocabulary):
    """Four batches in a row of 6 rows, half of them backwards: the rows' windows, and the batches corrupted."""
    loader = Loader(REMEMBERING.windows(split, vocabulary, 20, 0), 6)
    clean = [loader.batch(step) for step in range(4)]
    return [loader.windows.batch(batch["example_ids"]) for batch in clean], [
        corrupted(REMEMBERING, vocabulary, batch) for batch in clean
    ]


def test_half_of_the_rows_read_the_same_text_from_its_end(read_on):
    clean, batches = read_on
    for raw, batch in zip(clean, batches, strict=True):
        assert batch["backward"].tolist() == [0, 0, 0, 1, 1, 1]
        np.testing.assert_array_equal(batch["tokens"][:3], raw["tokens"][:3])
        np.testing.assert_array_equal(batch["tokens"][3:], raw["tokens"][3:, ::-1])
        rows, places = np.nonzero(batch["weights"])
        positions = batch["masked_positions"][rows, places]
        np.testing.assert_array_equal(batch["targets"][rows, places], batch["tokens"][rows, positions])
    for before, after in itertools.pairwise(batches):  # the next begins where what is reused ends, in both directions
        np.testing.assert_array_equal(before["tokens"][:, 10:], after["tokens"][:, :10])


def test_the_memory_is_what_was_reused_and_changes_the_loss(read_on, vocabulary):
    _, batches = read_on
    config = XLNetConfig(**SMALL, attention_dropout=0.0, memory_length=15, reuse_length=10)
    network = bound(config)
    memory, sums = REMEMBERING.memory(network.module, 6, True), []
    for batch in batches:
        losses, _, memory = REMEMBERING.losses_after(network, batch, memory, vocabulary, True)
        sums.append(float(losses["permutation_lm"].sum))
    read = np.concatenate([batch["tokens"][:, :10] for batch in batches], axis=1)[:, -15:]
    table = network.params["embeddings"]["tokens"]["embedding"]
    np.testing.assert_allclose(memory.states[:, 0], table[read], atol=1e-6)
    alone = [float(losses_of(REMEMBERING, network, vocabulary)(batch)[0]["permutation_lm"].sum) for batch in batches]
    assert sums[0] == pytest.approx(alone[0], rel=1e-5)
    assert all(abs(a - b) > 1e-2 for a, b in zip(sums[1:], alone[1:], strict=True))
    turned = batches[0] | {"backward": 1 - batches[0]["backward"]}
    assert abs(float(losses_of(REMEMBERING, network, vocabulary)(turned)[0]["permutation_lm"].sum) - alone[0]) > 1e-2


def test_without_a_memory_nothing_is_carried(read_on, vocabulary):
    network = bound(XLNetConfig(**SMALL, reuse_length=10))
    assert REMEMBERING.memory(network.module, 6, True) == ()
    losses, _, memory = REMEMBERING.losses_after(network, read_on[1][1], (), vocabulary, True)
    assert memory == () and np.isfinite(losses["permutation_lm"].sum)


@pytest.mark.parametrize(
    ("objective", "network", "message"),
    [
        (
            RecurrentPermutationLM(window=FullSentences()),
            NETWORK,
            "of FullSentences do not; choose PairStreams",
        ),
        (REMEMBERING, NETWORK, r"set model\.reuse_length to 31"),
        (
            SPANS,
            BertConfig(vocab_size=128),
            "needs a network of kind 'two_stream', but BertConfig is of kind 'encoder'",
        ),
        (PermutationLM(prediction=PartialPrediction(k=0.5)), NETWORK, r"prediction\.k is 0\.5"),
        (PermutationLM(prediction=PartialPrediction(longest=0)), NETWORK, r"prediction\.longest is 0"),
    ],
)
def test_what_does_not_fit_is_refused(vocabulary, objective, network, message):
    kind = "two_stream" if isinstance(network, XLNetConfig) else "encoder"
    with pytest.raises(UserError, match=message):
        objective.check(network, kind, vocabulary, LENGTH)


def test_words_need_a_tokenizer_that_knows_them(split):
    blind = make_vocabulary(SIZE, SPECIALS)
    with pytest.raises(UserError, match=r"whole_words is True, but this tokenizer"):
        dataclasses.replace(SPANS, prediction=PartialPrediction(whole_words=True)).check(
            NETWORK, "two_stream", blind, LENGTH
        )
    tokens = dataclasses.replace(SPANS, prediction=PartialPrediction(whole_words=False))
    tokens.check(NETWORK, "two_stream", blind, LENGTH)
    batch = corrupted(tokens, blind, windows_of(tokens, split, blind, LENGTH, 4))
    assert (batch["weights"].sum(1) >= 1).all()
