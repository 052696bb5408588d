"""Tasks about what a pronoun stands for: SuperGLUE's WSC, and DPR (Rahman and Ng 2012), which T5 learns beside it.

Their rows get a field `marked`, the text with its pronoun between asterisks, from which T5 writes the noun (Raffel et
al. 2020, Sec. 2.4). Other networks read a sentence with "PRONOUN is NOUN" beside it.
"""

import re
from dataclasses import dataclass

from plmjax.data.examples.rows import Row
from plmjax.errors import UserError
from plmjax.tasks.classification import ClassificationTask
from plmjax.tasks.multiple_choice import MultipleChoiceTask
from plmjax.tasks.supervised import Split, SupervisedTask, text_of

# They make no other noun of one: the list released with T5.
DETERMINERS = frozenset({
    "a", "an", "the", "few", "each", "every", "many", "much", "some", "that", "these", "this", "those", "which",
    "whose", "her", "his", "my", "our", "their", "your",
})  # fmt: skip


@dataclass(slots=True)
class WinogradTask(ClassificationTask):
    """Whether a pronoun stands for a noun.

    Attributes:
        sentence, pronoun, place: fields of the sentence, of the pronoun and of the number of its word, from 0, words
            being parted by single blanks.
        learned: labels whose examples are learned; empty: all. T5's are those whose noun is the right one.
    """

    sentence: str = "text"
    pronoun: str = "span2_text"
    place: str = "span2_index"
    learned: tuple[str, ...] = ()

    def rows(self, source: str) -> list[Row]:
        return [self.marked(row) for row in SupervisedTask.rows(self, source)]

    def splits(self) -> Split:
        found = ClassificationTask.splits(self)
        numbers = {number for number, label in enumerate(self.labels) if not self.learned or label in self.learned}
        train = [example for example in found["train"] if example.target in numbers]
        if not train:
            raise UserError(
                f"No training example has a label of {', '.join(self.learned)}, which alone are learned; the labels "
                f"are {', '.join(self.labels)}: set --task.learned or --task.labels."
            )
        return found | {"train": train}

    def marked(self, row: Row) -> Row:
        """With the pronoun marked in the word at its place, or in the nearest that has it: some places are wrong."""
        words, pronoun = text_of(row, self.sentence).split(" "), text_of(row, self.pronoun).strip()
        place = str(row[self.place]).strip()
        having = [number for number, word in enumerate(words) if _has(word, pronoun)]
        if not having or not (place.isascii() and place.isdigit()):
            raise UserError(
                f"{row.place} has no word {pronoun!r} in {self.sentence!r}, or no number in {self.place!r}: correct it."
            )
        nearest = min(having, key=lambda number: abs(number - int(place)))
        words[nearest] = _mark(words[nearest], pronoun)
        return Row({**row.fields, "marked": " ".join(words)}, row.place)


@dataclass(slots=True)
class PronounChoiceTask(MultipleChoiceTask):
    """Which of several nouns a pronoun stands for; of several occurrences the first is meant.

    Attributes:
        sentence, pronoun: fields of both.
    """

    sentence: str = "sentence"
    pronoun: str = "pronoun"

    def rows(self, source: str) -> list[Row]:
        return [self.marked(row) for row in MultipleChoiceTask.rows(self, source)]

    def marked(self, row: Row) -> Row:
        """With the pronoun marked."""
        text, pronoun = text_of(row, self.sentence), text_of(row, self.pronoun).strip()
        if not _has(text, pronoun):
            raise UserError(f"{row.place} has no word {pronoun!r} in {self.sentence!r}: correct it.")
        return Row({**row.fields, "marked": _mark(text, pronoun)}, row.place)


def same_noun(written: str, noun: str) -> bool:
    """Whether a text names a noun, as T5's released code has it: the words of one are all among the other's, without
    determiners and case, and both or neither have an apostrophe ("hat" is not "Bob's hat")."""
    words, others = _words(written), _words(noun)
    is_owner = [any("'" in word for word in found) for found in (words, others)]
    return is_owner[0] == is_owner[1] and (words <= others or others <= words)


def _words(noun: str) -> set[str]:
    """The words that tell a noun; the empty one where none do."""
    return set(noun.lower().split()) - DETERMINERS or {""}


def _pattern(pronoun: str) -> str:
    return rf"(?<!\w){re.escape(pronoun)}(?!\w)"


def _has(text: str, pronoun: str) -> bool:
    return re.search(_pattern(pronoun), text) is not None


def _mark(text: str, pronoun: str) -> str:
    return re.sub(_pattern(pronoun), lambda found: f"*{found[0]}*", text, count=1)
