"""SQuAD's exact match and F1 of words, by the rules of its official script (Rajpurkar et al. 2016, Sec. 6.1)."""

import re
import string
from collections import Counter
from collections.abc import Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = set(string.punctuation)


def normalize(answer: str) -> str:
    """Lower case, without ASCII punctuation, articles and superfluous blanks, in this order."""
    lowered = "".join(character for character in answer.lower() if character not in PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", lowered).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 where the prediction is one of the answers; no answer at all is matched by the empty prediction."""
    return float(any(normalize(prediction) == normalize(answer) for answer in answers or ("",)))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The best harmonic mean, over the answers, of the shares of words that are common to both."""
    return max(_f1(normalize(prediction).split(), normalize(answer).split()) for answer in answers or ("",))


def _f1(prediction: list[str], answer: list[str]) -> float:
    if not prediction or not answer:
        return float(prediction == answer)
    common = sum((Counter(prediction) & Counter(answer)).values())
    return 2 * common / (len(prediction) + len(answer))
