"""Multiple choice and classification by the answers' likelihoods, with K examples in context (GPT-3, Sec. 2.4)."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from plmjax.data.examples.rows import Row, read_rows
from plmjax.errors import UserError
from plmjax.tasks.framing import Instance
from plmjax.tasks.prompts import Example, Fit, Prompter, check_pool, check_settings
from plmjax.tasks.report import Report, accuracy
from plmjax.tasks.scoring import Score, Scorer

RULES = ("sum", "a token", "corrected")


class Question(NamedTuple):
    """A row's choices and the index of the right one."""

    row: Row
    choices: tuple[str, ...]
    right: int

    @property
    def answer(self) -> str:
        return self.choices[self.right]


@dataclass(slots=True)
class ChoiceScoring:
    """Accuracy for each number of examples in context, by three rules to choose by.

    "sum" takes the choice of the greatest log p(choice | prompt); "a token" divides it by the choice's tokens;
    "corrected" takes off log p(choice | neutral), what the choice is worth after no question. Of equal ones the first
    is taken.

    Attributes:
        test: a source of examples, see data/rows.py.
        train: the source of the examples in context; only needed where `shots` are over 0.
        columns: names of the columns of a table without a header line.
        prompt: an example without its answer, "{field}" standing for its fields; the answer follows after a blank.
        choices: the answers to choose from, where they are the same for all.
        choice_fields: where they are not, the fields that hold them, one each, or one that holds a list.
        answer: the field with the right one: its text, its number from 0, or its letter from A or a.
        instruction, separator: before all and between examples.
        neutral: the prompt without a question, of the corrected rule.
        shots: numbers of examples in context.
        limit: so many examples of `test` at most; 0: all.
        seed: draws the examples in context, anew for each question.
    """

    NAME: ClassVar[str] = "choices"

    test: str = ""
    train: str = ""
    columns: tuple[str, ...] = ()
    prompt: str = "{question}\nAnswer:"
    choices: tuple[str, ...] = ()
    choice_fields: tuple[str, ...] = ()
    answer: str = "answer"
    instruction: str = ""
    separator: str = "\n"
    neutral: str = "Answer:"
    shots: tuple[int, ...] = (0,)
    limit: int = 0
    seed: int = 0

    def check(self) -> None:
        """Raises UserError for settings that do not fit together."""
        check_settings(self.prompt, self.shots, self.train, self.limit)
        if bool(self.choices) == bool(self.choice_fields):
            raise UserError("Give either config.task.choices, the same for all, or config.task.choice_fields.")

    def evaluate(self, scorer: Scorer) -> Report:
        """Raises UserError for settings that do not fit together or examples that can't be read."""
        self.check()
        questions = self._questions(self.test)[: self.limit or None]
        pool = [(question.row, question.answer) for question in self._questions(self.train)] if any(self.shots) else []
        if pool:
            check_pool(pool, self.shots, self.train)
        alone = self._alone(scorer, questions)
        report = Report([])
        for shots in self.shots:
            self._add(report, scorer, questions, pool, alone, shots)
        [(commonest, count)] = Counter(question.right for question in questions).most_common(1)
        report.notes.append(
            f"Chance: a choice drawn at random; always taking choice {commonest} gives {count / len(questions):.1%}."
        )
        return report

    def _questions(self, source: str) -> list[Question]:
        return [self._question(row) for row in read_rows(source, self.columns)]

    def _question(self, row: Row) -> Question:
        choices = self.choices or tuple(row[name] for name in self.choice_fields)
        if len(choices) == 1 and isinstance(choices[0], list):
            choices = tuple(choices[0])
        if len(choices) < 2 or not all(isinstance(choice, str) and choice.strip() for choice in choices):
            raise UserError(f"{row.place} has the choices {choices!r:.60}: give two texts or more.")
        answer = str(row[self.answer]).strip()
        if answer in choices:
            return Question(row, choices, choices.index(answer))
        number = -1
        if answer.isascii() and answer.isdigit():
            number = int(answer)
        elif answer.isascii() and answer.isalpha() and len(answer) == 1:
            number = ord(answer.upper()) - ord("A")
        if not 0 <= number < len(choices):
            raise UserError(
                f"{row.place} has the answer {answer!r:.40}, which is none of its {len(choices)} choices nor the "
                "number or letter of one: correct it, or name another field with config.task.answer."
            )
        return Question(row, choices, number)

    def _alone(self, scorer: Scorer, questions: list[Question]) -> dict[str, Score]:
        """The score of each choice after the neutral prompt."""
        texts = sorted({choice for question in questions for choice in question.choices})
        requests = scorer.requests([(self.neutral, f" {text}") for text in texts])
        return dict(zip(texts, scorer.score(requests, "choices alone"), strict=True))

    def _add(
        self,
        report: Report,
        scorer: Scorer,
        questions: list[Question],
        pool: list[Example],
        alone: dict[str, Score],
        shots: int,
    ) -> None:
        requests, fit = self._requests(scorer, questions, pool, shots)
        scores = iter(scorer.score(requests, f"choices, {shots} examples"))
        right: dict[str, list[bool]] = {rule: [] for rule in RULES}
        for question in questions:
            found = [(choice, next(scores)) for choice in question.choices]
            values = {
                "sum": [score.log_p for _, score in found],
                "a token": [score.log_p / max(score.tokens, 1) for _, score in found],
                "corrected": [score.log_p - alone[choice].log_p for choice, score in found],
            }
            chosen = {rule: max(range(len(found)), key=values[rule].__getitem__) for rule in RULES}
            for rule in RULES:
                right[rule].append(chosen[rule] == question.right)
            line = {"place": question.row.place, "shots": shots, "right": question.answer}
            line |= {rule: question.choices[chosen[rule]] for rule in RULES}
            report.predictions.append(line | {"log_p": [score.log_p for _, score in found]})
        part = f"{shots} examples"
        chance = sum(1 / len(question.choices) for question in questions) / len(questions)
        report.measures += [accuracy(right[rule], part, chance, f"accuracy, {rule}") for rule in RULES]
        report.notes += fit.notes(part, len(questions), scorer.room)

    def _requests(
        self, scorer: Scorer, questions: list[Question], pool: list[Example], shots: int
    ) -> tuple[list[Instance], Fit]:
        """A request for each choice of each question, and what did not fit."""
        prompter = Prompter(self.prompt, self.instruction, self.separator, self.seed)
        pairs: list[tuple[str, str]] = []
        fit = Fit()
        for number, question in enumerate(questions):
            longest = max(len(scorer.tokenizer.encode(f" {choice}")) for choice in question.choices)

            def fits(prompt: str, longest: int = longest) -> bool:
                return len(scorer.tokenizer.encode(prompt)) + longest <= scorer.room

            prompt, dropped = prompter.fitting(question.row, prompter.drawn(pool, question.row, number, shots), fits)
            fit.add(dropped, fits(prompt))
            pairs += [(prompt, f" {choice}") for choice in question.choices]
        return scorer.requests(pairs), fit
