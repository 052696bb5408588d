"""BART's and mBART's denoising on real windows: both sequences, the five noises, and what must not be touched."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.configs.bart import COMMAND, MIXTURE, NOISES
from plmjax.data.store.split import Split
from plmjax.data.windows import Chunks
from plmjax.errors import UserError
from plmjax.modules.bart import BartConfig
from plmjax.objectives import Denoising, MultilingualDenoising
from plmjax.objectives.noising import Noising
from plmjax.objectives.sequences import target_loss
from tests.objectives.conftest import SMALL, bound
from tests.objectives.kit import Bigrams, corrupted, losses_of, windows_of

LENGTH, ROWS = 40, 24
CASES = {name: Denoising(noise=noise) for name, noise in (NOISES | {"mixture": MIXTURE, "command": COMMAND}).items()}
CASES["all"] = Denoising(noise=Noising(random_share=0.1, insert=0.3, rotate=0.5, poisson_lambda=0.4))
CASES["tokens"] = Denoising(noise=Noising(permute=0.5, unit="word", replace_length=-1, random_share=0.5))


@pytest.fixture(scope="module")
def clean(split, vocabulary):
    return windows_of(CASES["mixture"], split, vocabulary, LENGTH, ROWS)


@pytest.fixture(scope="module")
def batches(clean, vocabulary):
    return {name: corrupted(objective, vocabulary, clean) for name, objective in CASES.items()}


def rows(batch, name, presence):
    return [tokens[present > 0].tolist() for tokens, present in zip(batch[name], batch[presence], strict=True)]


def texts(clean):
    return rows(clean, "tokens", "segments")


@pytest.mark.parametrize("case", CASES)
def test_targets_are_the_original_between_bos_and_eos(batches, clean, vocabulary, case):
    batch = batches[case]
    for text, target in zip(texts(clean), rows(batch, "targets", "weights"), strict=True):
        assert target == [vocabulary.bos, *text, vocabulary.eos]
    assert (batch["weights"][batch["targets"] == vocabulary.eos] == 1).all()  # EOS has loss
    assert (batch["decoder_tokens"][:, 0] == vocabulary.eos).all()
    np.testing.assert_array_equal(batch["decoder_tokens"][:, 1:], batch["targets"][:, :-1])
    np.testing.assert_array_equal(batch["decoder_segments"], batch["weights"])


@pytest.mark.parametrize("case", CASES)
def test_bos_and_eos_stay_and_nothing_passes_the_length(batches, vocabulary, case):
    batch = batches[case]
    assert batch["tokens"].shape == (ROWS, LENGTH)
    np.testing.assert_array_equal(batch["segments"] > 0, np.arange(LENGTH) < batch["segments"].sum(1)[:, None])
    assert (batch["tokens"][batch["segments"] == 0] == vocabulary.pad).all()
    for inputs in rows(batch, "tokens", "segments"):
        assert inputs[0] == vocabulary.bos and inputs[-1] == vocabulary.eos
        inner = [token for token in inputs[1:-1] if token != vocabulary.mask]
        assert not vocabulary.is_special[inner].any()


def test_insertions_are_cut_at_the_length(batches):
    """Short spans and many insertions: some text would have grown too long."""
    assert (batches["all"]["segments"].sum(1) == LENGTH).any()


def test_what_each_noise_leaves(batches, clean, vocabulary):
    mask = vocabulary.mask
    inputs = {case: [row[1:-1] for row in rows(batch, "tokens", "segments")] for case, batch in batches.items()}
    for number, text in enumerate(texts(clean)):
        budget = -(-len(text) * 15 // 100)
        masked, deleted, infilled = (inputs[case][number] for case in ("masking", "deletion", "infilling"))
        assert len(masked) == len(text) and masked.count(mask) == budget
        assert all(a in (b, mask) for a, b in zip(masked, text, strict=True))
        assert len(deleted) == len(text) - budget and is_subsequence(deleted, text)
        assert is_subsequence([token for token in infilled if token != mask], text)
        assert sorted(inputs["permutation"][number]) == sorted(text)
        doubled = inputs["rotation"][number] * 2
        assert any(doubled[at : at + len(text)] == text for at in range(len(text)))
        starts = np.flatnonzero(clean["sentence_starts"][number]).tolist()
        sentences = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
        left = inputs["permutation"][number]
        for sentence in sentences:  # each is there as a whole
            assert any(left[at : at + len(sentence)] == sentence for at in range(len(left)))
    permuted = [a != b for a, b in zip(inputs["permutation"], texts(clean), strict=True)]
    assert np.mean(permuted) > 0.5


def is_subsequence(part, whole):
    rest = iter(whole)
    return all(token in rest for token in part)


def test_whole_words_are_hidden(clean, vocabulary, batches):
    """Of a word, which begins with an even id in this vocabulary or opens the text, all tokens go or none."""
    for text, inputs in zip(texts(clean), rows(batches["infilling"], "tokens", "segments"), strict=True):
        word = np.cumsum([token % 2 == 0 or place == 0 for place, token in enumerate(text)])
        if len(set(text)) < len(text):
            continue  # places can be told by tokens alone where these differ
        kept = [word[text.index(token)] for token in inputs[1:-1] if token != vocabulary.mask]
        assert all(kept.count(number) in (0, (word == number).sum()) for number in set(word))


def test_noise_is_new_in_each_epoch_and_the_same_in_one(clean, vocabulary, batches):
    again = corrupted(CASES["mixture"], vocabulary, clean)
    later = corrupted(CASES["mixture"], vocabulary, clean, epoch=1)
    np.testing.assert_array_equal(again["tokens"], batches["mixture"]["tokens"])
    assert (later["tokens"] != again["tokens"]).any(1).mean() > 0.9


def test_an_empty_row_counts_for_nothing(clean, vocabulary):
    batch = corrupted(CASES["mixture"], vocabulary, clean | {"segments": np.zeros_like(clean["segments"])})
    assert not batch["weights"].any() and not batch["segments"].any() and (batch["tokens"] == vocabulary.pad).all()


@pytest.fixture(scope="module")
def bart():
    return bound(BartConfig(**SMALL, num_decoder_layers=1, max_positions=64, attention_dropout=0.0))


def test_information_flow(bart, vocabulary, batches):
    """A loss sees the inputs and the targets before its own, and nothing of other rows."""
    batch = {name: value[:2] for name, value in batches["mixture"].items()}
    token_losses = jax.jit(lambda batch: target_loss(bart, batch, vocabulary).loss)
    losses = np.asarray(token_losses(batch))
    real = batch["weights"][0] > 0
    decoder_tokens = batch["decoder_tokens"].copy()
    decoder_tokens[0, 5] = 50 + (decoder_tokens[0, 5] == 50)
    changed = np.asarray(token_losses(batch | {"decoder_tokens": decoder_tokens})) != losses
    assert not changed[0, :5].any() and changed[0, 5:][real[5:]].all() and not changed[1].any()
    tokens = batch["tokens"].copy()
    tokens[0, 3] = 50 + (tokens[0, 3] == 50)
    changed = np.asarray(token_losses(batch | {"tokens": tokens})) != losses
    assert changed[0][real].all() and not changed[1].any()


@pytest.fixture(scope="module")
def spoken(split) -> Split:
    """Documents in two languages in turn."""
    ids = np.stack([np.arange(split.documents) % 2, np.full(split.documents, -1)], axis=1).astype(np.int16)
    return dataclasses.replace(split, languages=("en", "de"), document_languages=ids)


@pytest.fixture(scope="module")
def multilingual(vocabulary):
    """The vocabulary with tokens for the two languages, ids 4 and 5."""
    return dataclasses.replace(vocabulary, language_tokens=(4, 5))


def test_mbart_ends_with_eos_and_the_language_and_the_decoder_starts_with_it(spoken, multilingual):
    objective = MultilingualDenoising(languages=("en", "de"))
    windows = objective.windows(spoken, multilingual, LENGTH, 0)
    ids = np.linspace(0, len(windows) - 1, ROWS).astype(np.int32)
    clean = windows.batch(ids) | {"example_ids": ids, "epochs": np.zeros_like(ids)}
    assert set(clean["language"]) == {0, 1}
    batch = corrupted(objective, multilingual, clean)
    tokens = np.array([4, 5])[clean["language"]]
    eos, sentences = multilingual.eos, []
    for number, (text, target, inputs) in enumerate(
        zip(texts(clean), rows(batch, "targets", "weights"), rows(batch, "tokens", "segments"), strict=True)
    ):
        assert target == [*text, tokens[number]] and target[-2] == eos
        assert inputs[-1] == tokens[number] and inputs[-2] == eos
        assert inputs.count(eos) == text.count(eos) == clean["sentence_starts"][number].sum()
        assert batch["decoder_tokens"][number, 0] == tokens[number]
        assert len(inputs) <= LENGTH
        sentences.append(text.count(eos))
    assert max(sentences) > 2
    np.testing.assert_array_equal(batch["decoder_tokens"][:, 1:], batch["targets"][:, :-1])
    # 35% of the words of the whole text go: with the noise for spans alone, the words that are left can be counted.
    losses, metrics = losses_of(objective, Bigrams(multilingual.padded_size), multilingual, train=False)(batch)
    parts = [metrics[f"denoising_{language}"] for language in ("en", "de")]
    np.testing.assert_allclose(sum(part.sum for part in parts), losses["denoising"].sum, rtol=1e-5)
    assert sum(part.weight for part in parts) == batch["weights"].sum()
    assert objective.groups == ("denoising_en", "denoising_de")


def test_configs_have_the_papers_and_the_commands_numbers():
    mbart = MultilingualDenoising()
    assert (MIXTURE.mask, MIXTURE.poisson_lambda, MIXTURE.permute, MIXTURE.random_share) == (0.3, 3.0, 1.0, 0.0)
    assert (COMMAND.mask, COMMAND.poisson_lambda, COMMAND.permute, COMMAND.random_share) == (0.3, 3.5, 1.0, 0.1)
    assert (mbart.noise.mask, mbart.noise.poisson_lambda, mbart.window.alpha) == (0.35, 3.5, 0.7)


def test_bad_settings_are_refused_in_a_sentence(vocabulary):
    def check(objective=None, words=vocabulary, length=LENGTH, kind="encoder_decoder", **noise):
        (objective or Denoising(noise=Noising(**noise))).check(BartConfig(), kind, words, length)

    check()
    without = dataclasses.replace(vocabulary, word_start=None)
    check(words=without, unit="token")
    cases = [
        ("needs a network of kind 'encoder_decoder'", lambda: check(kind="encoder")),
        ("noise.mask is 1.5; it must lie between 0 and 1", lambda: check(mask=1.5)),
        ("noise.permute is -1", lambda: check(permute=-1)),
        ("one of span, word, token", lambda: check(unit="subword")),
        ("it must be 1, 0 or -1", lambda: check(replace_length=2)),
        ("poisson_lambda is 0.0", lambda: check(poisson_lambda=0.0)),
        ("can't tell where words begin", lambda: check(words=without)),
        ("no mask", lambda: check(words=dataclasses.replace(vocabulary, mask=None))),
        ("too short for a text", lambda: check(length=2)),
        ("longer than the 1024 positions", lambda: check(length=2000)),
        ("`sentence_starts`, which windows of Chunks do not give", lambda: check(Denoising(window=Chunks()))),
        ("with --language_tokens", lambda: check(MultilingualDenoising())),
        ("`language`, which windows of Passages", lambda: check(MultilingualDenoising(window=Denoising().window))),
    ]
    for message, call in cases:
        with pytest.raises(UserError, match=message):
            call()
