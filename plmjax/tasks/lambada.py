"""LAMBADA: the last word of a passage, which people can tell from the whole passage only (Paperno et al. 2016)."""

import math
from dataclasses import dataclass
from typing import ClassVar

from plmjax.data.examples.rows import Row, read_rows
from plmjax.errors import UserError
from plmjax.tasks.prompts import check_limit
from plmjax.tasks.report import Measure, Report, accuracy
from plmjax.tasks.scoring import Scorer


@dataclass(slots=True)
class Lambada:
    """Accuracy and perplexity of the last word (GPT-2, Radford et al. 2019, Sec. 3.3).

    A word counts as right where each of its tokens is the network's first choice, given those before it; an encoder
    predicts each with the later ones masked too, and so knows how many there are. Perplexity is exp of the mean nats
    of a word.

    Attributes:
        passages: a source of examples, see data/rows.py.
        field: the field with the passage; its last word, parted by white space, is the target.
        limit: so many passages at most; 0: all.
    """

    NAME: ClassVar[str] = "lambada"

    passages: str = ""
    field: str = "text"
    limit: int = 0

    def check(self) -> None:
        """Raises UserError for settings out of range."""
        check_limit(self.limit)

    def evaluate(self, scorer: Scorer) -> Report:
        """Raises UserError for passages that can't be read or have fewer than two words."""
        self.check()
        rows = read_rows(self.passages)[: self.limit or None]
        pairs = [_split(row, self.field) for row in rows]
        scores = scorer.score(scorer.requests(pairs), "LAMBADA", word_l2r=scorer.network.kind == "encoder")
        nats = -sum(score.log_p for score in scores) / len(scores)
        uniform = math.log(scorer.size) * sum(score.tokens for score in scores) / len(scores)
        guess = sum(_share_of_words(context, word) for context, word in pairs) / len(pairs)
        return Report(
            [
                accuracy([score.is_greedy for score in scores], chance=guess),
                Measure("perplexity a word", math.exp(nats), chance=math.exp(uniform), count=len(scores)),
                Measure("nats a word", nats, chance=uniform, count=len(scores)),
            ],
            [
                "Chance: accuracy of one of the passage's own words, drawn at random; perplexity of all "
                f"{scorer.size:,} tokens being equally likely."
            ],
            [
                {"place": row.place, "target": word.strip(), "log_p": score.log_p, "right": score.is_greedy}
                for row, (_, word), score in zip(rows, pairs, scores, strict=True)
            ],
        )


def _split(row: Row, field: str) -> tuple[str, str]:
    text = row[field]
    if not isinstance(text, str) or len(text.split()) < 2:
        raise UserError(f"{row.place} has {text!r:.40} in {field!r}, not a passage of two words or more: drop it.")
    context = text.rstrip().rsplit(None, 1)[0]
    return context, text.rstrip()[len(context) :]


def _share_of_words(context: str, word: str) -> float:
    words = [part.strip(".,;:!?\"'").lower() for part in context.split()]
    return words.count(word.strip().lower()) / len(words)
