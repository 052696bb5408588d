"""T5's noises of single tokens: the paper's Table 3, and shares."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.noise.spans import merge_runs
from plmjax.noise.tokens import keep_tokens, replace_tokens, shuffle_tokens
from tests.noise.test_masking import DRAWS, chi_square, within

WORDS = "Thank you for inviting me to your party last week .".split()  # noqa: SIM905 (as in the paper)
NAMES = {1: "EOS", 99: "<X>", 98: "<Y>", 97: "<Z>", 50: "apple"} | {10 + i: word for i, word in enumerate(WORDS)}
TOKENS = jnp.arange(10, 10 + len(WORDS))
SENTINELS = jnp.array([99, 98, 97])
REAL = len(WORDS)
EOS, LENGTH = 1, 14
KEY = jax.random.key(0)


def noise(*hidden):
    return jnp.asarray([word in hidden for word in WORDS])


def words(tokens):
    """Text up to EOS, after which there is filling alone."""
    found = [int(token) for token in tokens]
    end = found.index(EOS)
    assert all(token == -1 for token in found[end + 1 :])
    return " ".join(NAMES[token] for token in found[:end])


IID = noise("for", "inviting", "last")
SPANS = noise("for", "inviting", "me", "your", "party", "last")
THREE = noise("for", "inviting", "week")  # what Table 3 masks for the noises of single tokens
MERGE = functools.partial(merge_runs, TOKENS, real=REAL, sentinels_S=SENTINELS, eos=EOS, length=LENGTH)
KEEP = functools.partial(keep_tokens, TOKENS, real=REAL, eos=EOS, length=LENGTH)
REPLACE = functools.partial(replace_tokens, KEY, TOKENS, sentinel=99)


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        (lambda: MERGE(IID), "Thank you <X> me to your party <Y> week ."),
        (lambda: MERGE(~IID), "<X> for inviting <Y> last <Z>"),
        (lambda: MERGE(SPANS), "Thank you <X> to <Y> week ."),
        (lambda: MERGE(~SPANS), "<X> for inviting me <Y> your party last <Z>"),
        (lambda: KEEP(~IID), "Thank you me to your party week ."),
        (lambda: KEEP(IID), "for inviting last"),
        (lambda: KEEP(jnp.ones(REAL, bool)), " ".join(WORDS)),
        (
            lambda: jnp.append(REPLACE(IID, non_special_R=np.array([50])), EOS),
            "Thank you <X> <X> me to your party <X> week .",
        ),
        (
            lambda: jnp.append(REPLACE(noise("for"), non_special_R=np.array([50]), random_share=1.0), EOS),
            "Thank you apple inviting me to your party last week .",
        ),
    ],
    ids=["iid_in", "iid_out", "spans_in", "spans_out", "drop_in", "drop_out", "text", "mass_style", "random"],
)
def test_table_3(sequence, expected):
    assert words(sequence()) == expected


def test_prefix_of_table_3():
    """Prefix LM's row: a cut after "inviting"."""
    before = jnp.arange(REAL) < 4
    assert words(KEEP(before)) == "Thank you for inviting"
    assert words(KEEP(~before)) == "me to your party last week ."


def test_bert_style_is_a_sentinel_or_a_random_token():
    """The paper masks "for inviting" and puts "apple" for "week"."""
    replace = jax.jit(
        jax.vmap(
            lambda key: replace_tokens(
                key, TOKENS, THREE, sentinel=99, non_special_R=np.array([50, 51, 52]), random_share=0.1
            )
        )
    )
    drawn = np.asarray(replace(jax.random.split(KEY, DRAWS)))
    assert (drawn[:, ~np.asarray(THREE)] == np.asarray(TOKENS)[~np.asarray(THREE)]).all()
    masked = drawn[:, np.asarray(THREE)]
    assert set(masked.ravel()) == {99, 50, 51, 52}  # no token is kept
    assert within((masked != 99).mean(), 0.1, 3 * DRAWS, 0.3)
    assert abs(chi_square(np.bincount(masked[masked != 99] - 50, minlength=3), (masked != 99).sum() / 3)) < 3
    apple = [99, 99, 50]
    row = drawn[(masked == apple).all(1)][0]
    assert words(np.append(row, EOS)) == "Thank you <X> <X> me to your party last apple ."


def test_deshuffling_takes_every_order_as_often():
    mask = jnp.asarray([0, 1, 0, 1, 1, 0], bool)
    shuffle = jax.jit(jax.vmap(lambda key: shuffle_tokens(key, jnp.arange(6), mask)))
    drawn = np.asarray(shuffle(jax.random.split(KEY, DRAWS)))
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(kinds) == 6 and (kinds[:, [0, 2, 5]] == [0, 2, 5]).all()
    assert abs(chi_square(counts, DRAWS / 6)) < 3


def test_what_does_not_fit_is_cut_before_eos():
    assert keep_tokens(TOKENS, ~IID, REAL, eos=EOS, length=4).tolist() == [10, 11, 14, EOS]
    assert keep_tokens(TOKENS, ~IID, 0, eos=EOS, length=4).tolist() == [-1] * 4
    assert keep_tokens(TOKENS, ~IID, 3, eos=EOS, length=5).tolist() == [10, 11, EOS, -1, -1]
