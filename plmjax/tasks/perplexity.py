"""Perplexity of a text, read in windows that slide along it (GPT-2, Radford et al. 2019, Sec. 3.1)."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from plmjax.data.sources.files import read_lines
from plmjax.errors import UserError
from plmjax.tasks.framing import Instance
from plmjax.tasks.prompts import check_limit
from plmjax.tasks.report import Measure, Report
from plmjax.tasks.scoring import Scorer

# What WikiText's tokenization has put between the words of a text: a rule for each sort, applied in this order.
WIKITEXT = (
    (r" @([-,.])@ ", r"\1"),  # two @-@ part, 1 @,@ 200
    (r" ([.,:;!?%)\]])", r"\1"),
    (r"([(\[$£]) ", r"\1"),
    (r" ('t|'s|'re|'ve|'ll|'d|'m)\b", r"\1"),
    (r'" ([^"\n]*?) "', r'"\1"'),
    (r"(\w+s) ' ", r"\1' "),  # the actors ' lines
    (r"(?m)^ = = = = (.*) = = = = $", r"==== \1 ===="),
    (r"(?m)^ = = = (.*) = = = $", r"=== \1 ==="),
    (r"(?m)^ = = (.*) = = $", r"== \1 =="),
    (r"(?m)^ +| +$", ""),
)
DETOKENIZERS = {"": (), "wikitext": WIKITEXT}


@dataclass(slots=True)
class Perplexity:
    """Perplexity a token, and what does not depend on the tokenizer: perplexity a word, bits a byte.

    A word is what white space parts in the file as it is, and a byte one of its UTF-8 bytes, whatever the network reads
    of it: nats of all tokens over words of the file. An encoder's is its pseudo-perplexity (Salazar et al. 2020), not
    to be compared with the others'.

    Attributes:
        text: a UTF-8 file, read as one text.
        stride: tokens scored a window, the others of a window being their context; 0: half of the length.
        detokenize: "wikitext" undoes what WikiText puts between words; "" reads the file as it is.
        limit: score so many windows at most, from the start; 0: all.
    """

    NAME: ClassVar[str] = "perplexity"

    text: str = ""
    stride: int = 0
    detokenize: str = ""
    limit: int = 0

    def check(self) -> None:
        """Raises UserError for settings out of range, or where there is no such file."""
        check_limit(self.limit)
        if self.detokenize not in DETOKENIZERS:
            raise UserError(f"config.task.detokenize is {self.detokenize!r}: choose '' or 'wikitext'.")
        if not self.text or not Path(self.text).is_file():
            raise UserError(f"config.task.text is {self.text!r}, which is no file: name a UTF-8 text.")

    def evaluate(self, scorer: Scorer) -> Report:
        """Raises UserError for a file that can't be read or settings out of range."""
        self.check()
        raw = "".join(line.text for line in read_lines(Path(self.text)))
        tokens = scorer.tokenizer.encode(undo(raw, self.detokenize))
        room = scorer.room
        stride = self.stride or room // 2
        if not 0 < stride <= room:
            raise UserError(f"config.task.stride is {stride}: give 1 to {room}, or raise --length.")
        if not tokens or not raw.split():
            raise UserError(f"{self.text} holds no text: name another.")
        requests = windows(tokens, room, stride)
        shown = requests[: self.limit or None]
        scores = scorer.score(shown, "perplexity")
        share = sum(len(request.text) for request in shown) / len(tokens)
        nats, count = -sum(score.log_p for score in scores), sum(score.tokens for score in scores)
        # Of a text cut by `limit` as many words and bytes count as of its tokens.
        words, size = len(raw.split()) * share, len(raw.encode()) * share
        uniform = math.log(scorer.size)
        return Report(
            [
                Measure("nats a token", nats / max(count, 1), chance=uniform, count=count),
                Measure("perplexity a token", math.exp(nats / max(count, 1)), chance=float(scorer.size), count=count),
                Measure(
                    "perplexity a word", _exp(nats / words), chance=_exp(count * uniform / words), count=round(words)
                ),
                Measure("bits a byte", nats / size / math.log(2), chance=count * uniform / size / math.log(2)),
            ],
            [
                f"{len(shown):,} windows of {room} tokens, {stride} of them scored after the first window. Perplexity "
                f"a word is exp(nats of all {count:,} tokens / {round(words):,} words parted by white space in the "
                f"file), and bits a byte are those nats over ln 2 and {round(size):,} bytes.",
                f"Chance: each of the {scorer.size:,} tokens equally likely.",
            ],
            [{"window": number, "tokens": score.tokens, "log_p": score.log_p} for number, score in enumerate(scores)],
        )


def windows(tokens: list[int], length: int, stride: int) -> list[Instance]:
    """The first `length` tokens, then `stride` tokens at a time with as many before them as fit."""
    requests = [Instance([], tokens[:length])]
    for first in range(length, len(tokens), stride):
        text = tokens[first : first + stride]
        requests.append(Instance(tokens[max(0, first + len(text) - length) : first], text))
    return requests


def undo(text: str, tokenization: str) -> str:
    """The text without the blanks and marks that a tokenization has put into it."""
    for pattern, replacement in DETOKENIZERS[tokenization]:
        text = re.sub(pattern, replacement, text)
    return text


def _exp(nats: float) -> float:
    return math.exp(nats) if nats < 700 else math.inf
