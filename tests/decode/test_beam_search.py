"""Beam search against every text that there could be, and how often it is compiled."""

import itertools

import jax
import numpy as np
import pytest

from plmjax.decode.beam_search import Beams
from plmjax.decode.generate_tokens import _beam_program, generate_tokens
from plmjax.decode.logits_processors import make_logits_processors
from plmjax.modules.gpt import GPTConfig
from tests.objectives.conftest import bound

VOCABULARY, EOS, NEW = 5, 4, 3
PROMPTS = np.array([[0, 1, 2], [3, 3, 1]])


@pytest.fixture(scope="module")
def network():
    return bound(
        GPTConfig(vocab_size=VOCABULARY, num_layers=1, num_heads=2, d_model=8, d_ff=16, max_positions=32, unroll=False)
    )


@pytest.fixture(scope="module")
def texts(network):
    """For each prompt {text: sum of log probabilities}: all that end, by EOS or because they are full."""
    run = jax.jit(lambda tokens: jax.nn.log_softmax(network.token_logits(network.decode(tokens))))
    found = []
    for prompt in PROMPTS:
        rows = [list(row) for row in itertools.product(range(VOCABULARY), repeat=NEW)]
        logs = np.asarray(run(np.array([[*prompt, *row] for row in rows])))
        sums = {}
        for row, log in zip(rows, logs, strict=True):
            length = row.index(EOS) + 1 if EOS in row else NEW
            steps = range(len(prompt) - 1, len(prompt) - 1 + length)
            sums[tuple(row[:length])] = sum(log[at, token] for at, token in zip(steps, row, strict=False))
        found.append(sums)
    return found


@pytest.mark.parametrize("early", [True, False, "never"])
@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0, -1.0])
def test_with_beams_for_all_it_finds_the_best_of_all(network, texts, penalty, early):
    """There are as many beams as texts of two tokens, so that nothing is lost on the way."""
    found = generate_tokens(
        network, PROMPTS, max_new_tokens=NEW, sampling=Beams(VOCABULARY**2, penalty, early), outputs=10, eos=EOS
    )
    for row, sums in enumerate(texts):
        scores = {text: total / len(text) ** penalty for text, total in sums.items()}
        best = sorted(scores, key=scores.__getitem__, reverse=True)[:10]
        for place, text in enumerate(best):
            at = 10 * row + place
            assert found.tokens[at][: found.lengths[at]].tolist() == list(text)
            assert found.scores[at] == pytest.approx(scores[text], rel=1e-4)


def test_one_program_for_all_lengths_and_settings_of_a_bucket(network):
    program = _beam_program
    before = program._cache_size()
    for length, new, penalty, early in ((2, 3, 1.0, False), (5, 9, 0.6, True), (9, 12, 2.0, "never")):
        prompts = np.ones((2, length), int)
        processors = make_logits_processors(repetition_penalty=1.0 + penalty)
        generate_tokens(
            network, prompts, max_new_tokens=new, sampling=Beams(3, penalty, early), eos=EOS, processors=processors
        )
    assert program._cache_size() == before + 1
