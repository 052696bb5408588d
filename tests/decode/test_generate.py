"""`generate` under the names of `transformers`, without it."""

from __future__ import annotations

import numpy as np

from plmjax.decode import generate
from plmjax.modules import Bound

from .conftest import SAMPLED


def test_sampling_follows_the_seed(gpt2: Bound) -> None:
    settings = {
        "max_new_tokens": 12,
        "do_sample": True,
        "temperature": SAMPLED.temperature,
        "top_k": SAMPLED.top_k,
        "top_p": SAMPLED.top_p,
    }
    prompts = np.asarray([[5, 6, 7]] * 3)
    first, again, other = (generate(gpt2, prompts, seed=seed, **settings) for seed in (0, 0, 1))
    assert first.shape == (3, 15)
    assert (first[:, :3] == prompts).all()
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    # the numbers that shape the draw are ignored unless one is asked for
    greedy = generate(gpt2, prompts, max_new_tokens=12)
    np.testing.assert_array_equal(greedy, generate(gpt2, prompts, **(settings | {"do_sample": False})))


def test_padding_on_either_side_changes_nothing(gpt2: Bound) -> None:
    left = np.asarray([[0, 0, 5, 6], [0, 0, 0, 9], [4, 5, 6, 7]])
    right = np.asarray([[5, 6, 0, 0], [9, 0, 0, 0], [4, 5, 6, 7]])
    outputs = [generate(gpt2, ids, ids != 0, max_new_tokens=12) for ids in (left, right)]
    np.testing.assert_array_equal(outputs[0][:, 4:], outputs[1][:, 4:])
