"""BLiMP: of two sentences that differ in one point of grammar, the right one is the likelier (Warstadt et al. 2020)."""

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

from plmjax.data.examples.rows import read_rows
from plmjax.tasks.prompts import check_limit
from plmjax.tasks.report import Report, accuracy
from plmjax.tasks.scoring import Scorer


@dataclass(slots=True)
class Blimp:
    """Accuracy over all pairs, by phenomenon and by paradigm.

    A sentence's score is its log-likelihood, an encoder's its pseudo-log-likelihood (Salazar et al. 2020). A tie is
    wrong.

    Attributes:
        pairs: a source of examples with the fields sentence_good, sentence_bad, linguistics_term and UID, such as
            BLiMP.zip.
        limit: so many pairs of each paradigm at most; 0: all.
        word_l2r: an encoder masks the later pieces of a word as well, see framing.py.
        paradigms: whether the table has a line for each of the 67 paradigms too.
    """

    NAME: ClassVar[str] = "blimp"

    pairs: str = ""
    limit: int = 0
    word_l2r: bool = False
    paradigms: bool = False

    def check(self) -> None:
        """Raises UserError for settings out of range."""
        check_limit(self.limit)

    def evaluate(self, scorer: Scorer) -> Report:
        """Raises UserError for pairs that can't be read or settings out of range."""
        self.check()
        seen: dict[str, int] = defaultdict(int)
        rows = []
        for row in read_rows(self.pairs):
            seen[row["UID"]] += 1
            if not self.limit or seen[row["UID"]] <= self.limit:
                rows.append(row)
        sentences = [("", row[name]) for row in rows for name in ("sentence_good", "sentence_bad")]
        scores = scorer.score(scorer.requests(sentences), "BLiMP", word_l2r=self.word_l2r)
        good, bad = scores[::2], scores[1::2]
        right = [one.log_p > other.log_p for one, other in zip(good, bad, strict=True)]
        measures = [accuracy(right, chance=0.5)]
        for field in ("linguistics_term", "UID") if self.paradigms else ("linguistics_term",):
            groups: dict[str, list[bool]] = defaultdict(list)
            for row, is_right in zip(rows, right, strict=True):
                groups[row[field].replace("_", " ")].append(is_right)
            measures += [accuracy(groups[name], name, 0.5) for name in sorted(groups)]
        return Report(
            measures,
            [],
            [
                {
                    "place": row.place,
                    "uid": row["UID"],
                    "good": one.log_p,
                    "bad": other.log_p,
                    "right": one.log_p > other.log_p,
                }
                for row, one, other in zip(rows, good, bad, strict=True)
            ],
        )
