"""Free answers: written by the network, with K examples in context, and compared by their words (GPT-3, Sec. 2.4)."""

from dataclasses import dataclass
from typing import ClassVar

from plmjax.data.rows import Row, read_rows
from plmjax.decode.beams import Beams
from plmjax.decode.fill import fill_sentinels
from plmjax.decode.sampling import GREEDY
from plmjax.decode.text import continue_text, rewrite_text
from plmjax.errors import UserError
from plmjax.tasks.exact_match import exact_match, f1
from plmjax.tasks.prompts import Prompter, check_template
from plmjax.tasks.report import Measure, Report, accuracy
from plmjax.tasks.scoring import Scorer


@dataclass(slots=True)
class Answers:
    """Exact match and F1 by SQuAD's rules, for each number of examples in context.

    A decoder continues the prompt, T5 fills a sentinel after it, another encoder-decoder rewrites it. An answer ends at
    EOS, a newline, or where the network begins another question.

    Attributes:
        test, train, columns, prompt, instruction, separator, shots, limit, seed: as those of `Choices`.
        answer: the field with the answer, a text or a list of texts each of which is right.
        max_new_tokens: the longest answer.
        beams, length_penalty: of the search; the paper's are 4 and 0.6. One beam is greedy.
    """

    NAME: ClassVar[str] = "answers"

    test: str = ""
    train: str = ""
    columns: tuple[str, ...] = ()
    prompt: str = "{context}\nQuestion: {question}\nAnswer:"
    answer: str = "answers"
    instruction: str = ""
    separator: str = "\n"
    shots: tuple[int, ...] = (0,)
    max_new_tokens: int = 32
    beams: int = 4
    length_penalty: float = 0.6
    limit: int = 0
    seed: int = 0

    def evaluate(self, scorer: Scorer) -> Report:
        """Raises UserError for settings that do not fit together or examples that can't be read."""
        check_template(self.prompt)
        if any(self.shots) and not self.train:
            raise UserError(f"config.task.shots is {self.shots}, but config.task.train names no examples: name some.")
        if self.max_new_tokens >= scorer.length:
            raise UserError(
                f"config.task.max_new_tokens is {self.max_new_tokens}, which leaves no room for a question in "
                f"{scorer.length} tokens: lower it."
            )
        rows = read_rows(self.test, self.columns)[: self.limit or None]
        golds = [_texts(row, self.answer) for row in rows]
        pool = []
        for row in read_rows(self.train, self.columns) if any(self.shots) else []:
            if texts := _texts(row, self.answer):
                pool.append((row, texts[0]))
        report = Report([])
        for shots in self.shots:
            self._add(report, scorer, rows, golds, pool, shots)
        return report

    def _add(
        self,
        report: Report,
        scorer: Scorer,
        rows: list[Row],
        golds: list[list[str]],
        pool: list[tuple[Row, str]],
        shots: int,
    ) -> None:
        prompter = Prompter(self.prompt, self.instruction, self.separator, self.seed)
        room = scorer.length - self.max_new_tokens - 2

        def fits(prompt: str) -> bool:
            return len(scorer.tokenizer.encode(prompt)) <= room

        found = [prompter.fitting(row, prompter.drawn(pool, n, shots), fits) for n, row in enumerate(rows)]
        prompts = [prompt for prompt, _ in found]
        asked = [number for number, prompt in enumerate(prompts) if fits(prompt)]
        written = dict(zip(asked, self._write(scorer, [prompts[number] for number in asked]), strict=True))
        answers = [_until_next(written.get(number, ""), self.prompt) for number in range(len(rows))]
        part = f"{shots} examples"
        exact = [exact_match(answer, gold) for answer, gold in zip(answers, golds, strict=True)]
        f1s = [f1(answer, gold) for answer, gold in zip(answers, golds, strict=True)]
        report.measures += [
            accuracy([value > 0 for value in exact], part, name="exact match"),
            Measure("F1, %", 100 * sum(f1s) / len(f1s), part, count=len(f1s)),
        ]
        if len(asked) < len(rows):
            report.notes.append(
                f"{part}: {len(rows) - len(asked)} questions alone are longer than {room} tokens; they count as wrong."
            )
        for row, gold, answer, exactness, overlap in zip(rows, golds, answers, exact, f1s, strict=True):
            line = {"place": row.place, "shots": shots, "answer": answer, "right": gold}
            report.predictions.append(line | {"exact_match": exactness, "f1": overlap})

    def _write(self, scorer: Scorer, prompts: list[str]) -> list[str]:
        """What the network writes after each prompt."""
        network, tokenizer = scorer.network, scorer.tokenizer
        method = Beams(self.beams, length_penalty=self.length_penalty) if self.beams > 1 else GREEDY
        if network.kind == "encoder_decoder" and tokenizer.vocabulary.sentinels:
            blank = "<extra_id_0>"
            texts = [f"{prompt} {blank}" for prompt in prompts]
            filled = fill_sentinels(network, tokenizer, texts, max_new_tokens=self.max_new_tokens, sampling=method)
            return [one.spans[0] or "" for one in filled]
        write = rewrite_text if network.kind == "encoder_decoder" else continue_text
        return write(network, tokenizer, prompts, max_new_tokens=self.max_new_tokens, sampling=method)


def _texts(row: Row, field: str) -> list[str]:
    """The right answers; SQuAD's and TFDS' {"text": [...]} too."""
    value = row[field]
    if isinstance(value, dict):
        value = value.get("text", [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UserError(
            f"{row.place} has {value!r:.40} in {field!r}, not a text or a list of texts: name another field."
        )
    return list(texts)


def _until_next(answer: str, template: str) -> str:
    """The answer up to a newline, or to what begins the template's last line, which would be another question."""
    lead = template.rsplit("\n", 2)[-2 if template.count("\n") > 1 else 0].split("{")[0].strip()
    answer = answer.strip().split("\n")[0]
    return answer.split(lead)[0].strip() if lead else answer.strip()
