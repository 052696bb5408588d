"""A scorer without a network, and the words and tiny networks of the tests of decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest

from plmjax.tasks.asking import Asking
from plmjax.tasks.framing import Request
from plmjax.tasks.scoring import Score, Scorer
from tests.decode.conftest import SIZE, WordTokenizer

Likelihood = Callable[[list[int], list[int]], float]


class FakeScorer(Scorer):
    """Scores by a function (context, text) -> log p of token ids; keeps the requests that it was asked."""

    def __init__(self, log_p: Likelihood, kind: str = "decoder", length: int = 64) -> None:
        self.network = SimpleNamespace(kind=kind, module=SimpleNamespace())
        self.tokenizer, self.asking = WordTokenizer(), Asking()
        self.length = self.room = length
        self.size, self.shown = SIZE, False
        self.likeliest: Callable[[list[int], list[int]], bool] = lambda context, text: True
        self.asked: list[Request] = []
        self.hidden: list[bool] = []
        self._log_p = log_p

    def score(self, requests: Sequence[Request], what: str = "", *, hide_rest: bool = False) -> list[Score]:
        self.asked += requests
        self.hidden.append(hide_rest)
        pairs = [(list(request.context), list(request.text)) for request in requests]
        return [Score(self._log_p(*pair), len(pair[1]), self.likeliest(*pair)) for pair in pairs]


@pytest.fixture(scope="session")
def words() -> WordTokenizer:
    return WordTokenizer()
