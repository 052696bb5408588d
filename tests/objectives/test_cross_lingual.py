"""CLM, MLM and TLM on a small store of three languages."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.data.languages import NONE
from plmjax.data.store.split import Split
from plmjax.data.windows import LanguageStreams, TranslationPairs
from plmjax.errors import UserError
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound
from plmjax.modules.bert import BertConfig
from plmjax.modules.xlm import XLMConfig
from plmjax.objectives.cross_lingual import CrossLingualCausalLM, CrossLingualLM
from plmjax.objectives.masked_lm import MaskedLM, Masking
from plmjax.objectives.masking_strategies import AnyTokenMasking, MaskingStrategies
from plmjax.train.evaluation import Evaluator
from tests.objectives.conftest import SMALL, bound
from tests.objectives.kit import corrupted, losses_of

LENGTH, ROWS = 24, 8
LANGUAGES = ("en", "hi", "ne")
CONFIG = XLMConfig(**SMALL, max_positions=64, attention_dropout=0.0, num_languages=3)
MLM = CrossLingualLM(window=LanguageStreams(), languages=LANGUAGES)
TLM = CrossLingualLM(window=TranslationPairs(), languages=LANGUAGES)
BOTH = CrossLingualLM(languages=LANGUAGES)
CLM = CrossLingualCausalLM(languages=LANGUAGES)


@pytest.fixture(scope="module")
def languages_split() -> Split:
    """Of each language 20 documents of 4 sentences, then 60 translations of two kinds, all of 4 to 8 tokens."""
    rng = np.random.default_rng(0)
    documents = [4] * 60 + [2] * 60
    sentences = np.concatenate([[0], np.cumsum(rng.integers(4, 9, sum(documents)))])
    tokens = rng.integers(7, 100, sentences[-1]).astype(np.uint16)
    spoken = [[language, NONE] for language in range(3) for _ in range(20)] + [[0, 1]] * 30 + [[0, 2]] * 30
    starts = sentences[np.concatenate([[0], np.cumsum(documents)])]
    return Split(tokens, starts, sentences, languages=LANGUAGES, document_languages=np.array(spoken, np.int16))


@pytest.fixture(scope="module")
def network() -> Bound:
    return bound(CONFIG)


def batch_of(objective, split, vocabulary):
    windows = objective.windows(split, vocabulary, LENGTH, 0)
    ids = np.linspace(0, len(windows) - 1, ROWS).astype(int)
    return windows.batch(ids) | {"example_ids": ids.astype(np.int32), "epochs": np.zeros(ROWS, np.int32)}


@pytest.fixture(scope="module")
def translated(languages_split, vocabulary):
    return corrupted(TLM, vocabulary, batch_of(TLM, languages_split, vocabulary))


def read_by(network, batch, row, place):
    """float [B, L]: the gradient of a state by the vector of every token of the batch."""
    rows, length = batch["tokens"].shape

    def score(one_hot_BLV):
        table_VD = network.token_table()
        vectors_ND = (one_hot_BLV @ table_VD).reshape(rows * length, -1)  # each token has a row of its own
        params = {**network.params}
        rows_VD = table_VD.at[: rows * length].set(vectors_ND)
        params["embeddings"] = {**params["embeddings"], "tokens": {"embedding": rows_VD}}
        tokens = jnp.arange(rows * length).reshape(rows, length)
        x = Bound(network.module, params).encode(tokens, batch["token_types"], batch["positions"], batch["segments"])
        return x[row, place].sum()

    return np.asarray(jnp.abs(jax.jit(jax.grad(score))(jax.nn.one_hot(batch["tokens"], 128))).sum(-1))


def test_a_masked_token_reads_the_other_language(network, translated):
    """The gradient of a state of the second side by the tokens' vectors: every real token, and no padding."""
    row = int(np.argmin(translated["segments"].sum(1)))  # one with padding
    batch = {name: jnp.asarray(value[row : row + 1]) for name, value in translated.items()}
    types, real = translated["token_types"][row], translated["segments"][row] > 0
    second = int(np.flatnonzero((types != types[0]) & real)[1])
    gradient_L = read_by(network, batch, 0, second)[0]
    assert (gradient_L[(types == types[0]) & real] > 1e-6).all()
    assert (gradient_L[~real] == 0).all()


def test_a_masked_token_of_a_stream_reads_its_own_window_and_language_alone(network, languages_split, vocabulary):
    """Streams run on over sentences and documents, as released: what isolates is the window."""
    clean = batch_of(MLM, languages_split, vocabulary)
    streams, languages = corrupted(MLM, vocabulary, clean), clean["token_types"]
    assert (languages == languages[:, :1]).all() and len(set(languages[:, 0])) == 3
    for language, tokens in zip(languages[:, 0], clean["tokens"], strict=True):
        first, last = languages_split.document_starts[[20 * language, 20 * language + 20]]
        words = tokens[tokens != vocabulary.eos]
        own = np.lib.stride_tricks.sliding_window_view(languages_split.tokens[first:last], len(words))
        assert (own == words).all(1).any()
    first, second = (int(np.flatnonzero(languages[:, 0] == language)[0]) for language in (0, 1))
    batch = {name: jnp.asarray(value[[first, second]]) for name, value in streams.items()}
    assert (batch["tokens"][0, 1:-1] == vocabulary.eos).any()  # there are sentences on both sides of one
    for row in (0, 1):
        gradient_BL = read_by(network, batch, row, int(batch["masked_positions"][row, 0]))
        assert (gradient_BL[row] > 1e-6).all() and not gradient_BL[1 - row].any()


def test_the_network_is_told_languages_and_positions(network, translated):
    given = [jnp.asarray(translated[name]) for name in ("tokens", "token_types", "positions", "segments")]
    encode = jax.jit(network.encode)
    real = translated["segments"] > 0
    before = np.asarray(encode(*given))
    for place, changed in ((1, (given[1] + 1) % 3), (2, jnp.broadcast_to(jnp.arange(LENGTH), given[2].shape))):
        other = [*given[:place], changed, *given[place + 1 :]]
        assert (abs(np.asarray(encode(*other)) - before)[real] > 1e-4).any()


@pytest.mark.parametrize("objective", [MLM, TLM], ids=["streams", "translations"])
def test_the_first_token_is_never_predicted_but_separators_are(languages_split, vocabulary, objective):
    clean = batch_of(objective, languages_split, vocabulary)
    predicted = np.zeros(clean["tokens"].shape)
    batches = [corrupted(objective, vocabulary, clean, epoch) for epoch in range(60)]
    for batch in batches:
        rows, places = np.nonzero(batch["weights"])
        np.add.at(predicted, (rows, batch["masked_positions"][rows, places]), 1)
        assert (batch["targets"][rows, places] == clean["tokens"][rows, batch["masked_positions"][rows, places]]).all()
    real = clean["segments"] > 0
    assert not predicted[:, 0].any() and not predicted[~real].any()
    is_separator = (clean["tokens"] == vocabulary.eos) & real
    is_separator[:, 0] = real[:, 0] = False
    share = predicted[real & ~is_separator].mean() / 60
    assert abs(predicted[is_separator].mean() / 60 - share) < 3 * np.sqrt(share / (60 * is_separator.sum()))


@pytest.mark.parametrize("alpha", [0.5, 0.7])
def test_rare_tokens_are_predicted_more(vocabulary, alpha):
    """One prediction a window of tokens that the text has 1, 4, 9, ... times: shares go with count^-alpha."""
    draws, tokens = 10_000, np.arange(7, 15)
    counts = np.zeros(vocabulary.padded_size, np.int64)
    counts[tokens[:-1]] = np.arange(1, len(tokens)) ** 2  # the last is not in the text
    counted = dataclasses.replace(vocabulary, token_counts=counts)
    masking = Masking(strategy="any_tokens", strategies=MaskingStrategies(any_tokens=AnyTokenMasking(alpha)), rate=0.1)
    masking.check(counted)
    example = {"tokens": jnp.asarray([1, *tokens, 1], jnp.int32), "segments": jnp.ones(10, jnp.int32)}
    keys = jax.random.split(jax.random.key(0), draws)
    batch = jax.jit(jax.vmap(lambda key: masking.corrupt(key, example, counted)))(keys)
    assert (np.asarray(batch["weights"]).sum(1) == 1).all()
    shares = np.bincount(np.asarray(batch["targets"])[:, 0], minlength=15)[7:] / draws
    wanted = np.where(counts[tokens] > 0, np.maximum(counts[tokens], 1.0) ** -alpha, 0)
    wanted /= wanted.sum()
    print(alpha, shares, wanted)
    assert shares[-1] == 0
    assert (abs(shares - wanted) <= 3 * np.sqrt(wanted * (1 - wanted) / draws)).all()
    with pytest.raises(UserError, match="needs the counts"):
        masking.check(vocabulary)


def test_losses_by_language(network, languages_split, vocabulary):
    """The parts' sums are the whole's, and each is of its own language and kind."""
    clean = batch_of(BOTH, languages_split, vocabulary)
    assert 0 < clean["translation"].sum() < ROWS
    batch = corrupted(BOTH, vocabulary, clean)
    losses, metrics = losses_of(BOTH, network, vocabulary, train=False)(batch)
    names = [f"{kind}_{language}" for kind in ("masked_lm", "translation_lm") for language in LANGUAGES]
    assert tuple(names) == BOTH.groups
    np.testing.assert_allclose(sum(metrics[name].sum for name in names), losses["masked_lm"].sum, rtol=1e-5)
    types = np.take_along_axis(batch["token_types"], batch["masked_positions"], 1)
    for name in names:
        kind, language = int(name.startswith("translation")), LANGUAGES.index(name[-2:])
        wanted = batch["weights"] * (types == language) * (batch["translation"][:, None] == kind)
        assert metrics[name].weight == wanted.sum()
    _, training = losses_of(BOTH, network, vocabulary, train=True)(batch)
    assert set(training) == {"masked_lm_accuracy"}


def test_causal(vocabulary, languages_split):
    network = bound(dataclasses.replace(CONFIG, causal=True))
    assert network.kind == "decoder"
    clean = batch_of(CLM, languages_split, vocabulary)
    batch = corrupted(CLM, vocabulary, clean)
    assert batch["tokens"].shape == batch["token_types"].shape == batch["targets"].shape == (ROWS, LENGTH)
    np.testing.assert_array_equal(batch["targets"][:, :-1], batch["tokens"][:, 1:])
    losses, metrics = losses_of(CLM, network, vocabulary, train=False)(batch)
    sums = sum(metrics[f"causal_lm_{language}"].sum for language in LANGUAGES)
    np.testing.assert_allclose(sums, losses["causal_lm"].sum, rtol=1e-5)
    decode = jax.jit(lambda tokens: network.decode(tokens, token_types_BL=batch["token_types"]))
    changed = batch["tokens"].copy()
    changed[:, 9] = 7
    moved = abs(np.asarray(decode(changed)) - np.asarray(decode(batch["tokens"]))).max(-1)
    assert not moved[:, :9].any() and (moved[changed[:, 9] != batch["tokens"][:, 9], 9:] > 0).all()


def test_cached_decoding_is_the_full_pass(vocabulary):
    network = bound(dataclasses.replace(CONFIG, causal=True))
    tokens = jnp.asarray(np.random.default_rng(0).integers(7, 100, (2, 6)), jnp.int32)
    types = jnp.ones_like(tokens)
    full = network.decode(tokens, token_types_BL=types)
    cache = network.module.init_cache(2, 6)
    first, cache = network.decode(tokens[:, :4], cache=cache, token_types_BL=types[:, :4])
    second, _ = network.decode(tokens[:, 4:], cache=cache, token_types_BL=types[:, 4:])
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), full, atol=1e-5)


def test_validation_gives_groups_and_leaves_out_what_it_has_not_seen():
    evaluator = Evaluator.__new__(Evaluator)
    evaluator._coefficients, evaluator._perplexities = {}, ("masked_lm_en", "masked_lm_hi")
    seen = {"masked_lm_en": Weighted(6.0, 3.0), "masked_lm_hi": Weighted(0.0, 0.0)}
    evaluator._empty_memory = lambda rows: ()
    evaluator._step = lambda params, batch, memory: ({"masked_lm": Weighted(6.0, 3.0)}, seen, memory)
    found = evaluator(None, [{"epochs": [0]}] * 2)
    assert list(found)[:2] == ["loss", "masked_lm"]
    assert found["masked_lm_en_perplexity"] == pytest.approx(np.exp(2.0))
    assert not any("hi" in name for name in found)


def test_what_does_not_fit(vocabulary):
    with pytest.raises(UserError, match="choose XLMConfig"):
        MLM.check(BertConfig(**SMALL), "encoder", vocabulary, LENGTH)
    with pytest.raises(UserError, match="of kind 'encoder'"):
        CLM.check(CONFIG, "encoder", vocabulary, LENGTH)
    with pytest.raises(UserError, match="translation"):
        dataclasses.replace(MLM, window=MaskedLM().window).check(CONFIG, "encoder", vocabulary, LENGTH)
    with pytest.raises(UserError, match="masking.strategy"):
        MaskedLM(masking=Masking(strategy="none")).check(CONFIG, "encoder", vocabulary, LENGTH)
