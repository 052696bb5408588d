"""BART's batches are those of the released data code (see bart_data.py), in distribution, as whole rows.

On purpose: sentences are the store's, where the released code finds them by full stops; a random token is an ordinary
one, where the released code draws from the whole vocabulary but one; a rotated text begins with each of its tokens
alike, where the released code leaves it as it is twice as often; a text never outgrows its window: masks of spans of
length 0 are left out where there is no room. The released code rounds budgets up in float32, which gives a word more at
some counts (16 and not 15 of 50 words at .3), and inserts one mask too many at some lengths, for n / length * length
may come out above n; here neither happens.
"""

import numpy as np
import pytest

from plmjax.objectives import Denoising
from plmjax.objectives.noising import Noising
from tests.oracles import bart_data
from tests.oracles.kit import BOS, BOUND, DRAWS, EOS, a_vocabulary, corruptions, filled, joined, p_value, window

VOCABULARY = a_vocabulary(ordinary=4)
STOP = 10
TEXT = [8, 7, 8, 9, STOP, 8, 8, STOP, 8, 9]  # three sentences
STARTS = [False, *(token % 2 == 0 for token in TEXT), False]
WHOLE = [BOS, *TEXT, EOS]


def rows_of(noise):
    """The inputs of 10,000 draws in a window with room for 8 tokens more; targets are checked."""
    length = len(TEXT) + 8
    example = window(TEXT, length=length)
    example["sentence_starts"] = (np.isin(np.arange(length), [0, 5, 8])).astype(np.int32)
    batch = corruptions(Denoising(noise=noise), example, VOCABULARY)
    assert (batch["targets"][:, : len(WHOLE)] == WHOLE).all()
    assert (batch["weights"].sum(1) == len(WHOLE)).all()
    assert (batch["decoder_tokens"][:, : len(WHOLE)] == [EOS, *WHOLE[:-1]]).all()
    return np.where(batch["segments"] > 0, batch["tokens"], -1)


def assert_same(noise, restated):
    """The project's inputs against those of a function of random numbers; what has no room here is left out there."""
    ours, numbers = rows_of(noise), np.random.RandomState(1)
    theirs = [restated(numbers) for _ in range(DRAWS)]
    # One row more than the window holds is as rare as it is long.
    theirs = [row for row in theirs if len(row) < ours.shape[1]]
    ours = ours[(ours < 0).any(1)]
    assert min(len(theirs), len(ours)) > 0.99 * DRAWS
    assert p_value(ours, filled(theirs, ours.shape[1])) > BOUND


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_sentence_permutation(share):
    assert_same(Noising(mask=0, permute=share), lambda numbers: bart_data.permuted(WHOLE, STOP, numbers, share))


@pytest.mark.parametrize("replace", [1, 0])
def test_token_masking_and_deletion(replace):
    noise = Noising(permute=0, mask=0.3, unit="token", replace_length=replace, random_share=0.3)
    starts = [False, *[True] * len(TEXT), False]

    def restated(numbers):
        words = VOCABULARY.non_special
        return bart_data.hidden(WHOLE, starts, 0.3, words, numbers, None, replace, 0.3)

    assert_same(noise, restated)


@pytest.mark.parametrize(
    ("rate", "mean", "replace", "random"), [(0.4, 1.5, 1, 0.0), (0.4, 3.0, -1, 0.2), (0.9, 1.0, 0, 0.0)]
)
def test_text_infilling(rate, mean, replace, random):
    noise = Noising(permute=0, mask=rate, poisson_lambda=mean, replace_length=replace, random_share=random)

    def restated(numbers):
        return bart_data.hidden(WHOLE, STARTS, rate, VOCABULARY.non_special, numbers, mean, replace, random)

    assert_same(noise, restated)


def test_word_masking():
    noise = Noising(permute=0, mask=0.5, unit="word")

    def restated(numbers):
        return bart_data.hidden(WHOLE, STARTS, 0.5, VOCABULARY.non_special, numbers, None)

    assert_same(noise, restated)


def test_insertion():
    noise = Noising(permute=0, mask=0, insert=0.3, random_share=0.5)

    def restated(numbers):
        return bart_data.inserted(WHOLE, 3, VOCABULARY.non_special, numbers, 0.5)

    assert_same(noise, restated)


def test_permutation_and_infilling_together():
    """Words move with their sentences, and are hidden where they then stand."""
    noise = Noising(mask=0.3, poisson_lambda=2.0)

    def restated(numbers):
        text = bart_data.permuted(WHOLE, STOP, numbers)
        starts = [place > 0 and token % 2 == 0 and token != EOS for place, token in enumerate(text)]
        return bart_data.hidden(text, starts, 0.3, VOCABULARY.non_special, numbers, 2.0)

    assert_same(noise, restated)


def test_rotation():
    """Of the released rotations, those that are not the one too many which leaves the text as it is."""
    numbers = np.random.RandomState(1)
    theirs = [bart_data.rotated(WHOLE, numbers) for _ in range(DRAWS)]
    same = [row == WHOLE for row in theirs]
    assert abs(np.mean(same) - 2 / 11) < 0.02
    kept = [row for row, whole in zip(theirs, same, strict=True) if not whole or numbers.random_sample() < 0.5]
    ours = rows_of(Noising(permute=0, mask=0, rotate=1.0))
    assert p_value(ours, filled(kept, ours.shape[1])) > BOUND
    assert joined(ours).shape == ours.shape
