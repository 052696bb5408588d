"""Free answers: written by the network, with K examples in context, and compared by their words (GPT-3, Sec. 2.4)."""

from dataclasses import dataclass, field
from typing import ClassVar

from plmjax.data.examples.rows import Row, read_rows
from plmjax.data.progress import ProgressLine
from plmjax.decode.config import GenerationConfig
from plmjax.decode.fill import read_spans
from plmjax.decode.text import generate_ids
from plmjax.errors import UserError
from plmjax.tasks.exact_match import exact_match, f1
from plmjax.tasks.prompts import Example, Fit, Prompter, check_pool, check_settings, labels
from plmjax.tasks.report import Measure, Report, accuracy
from plmjax.tasks.scoring import Scorer

BATCH = 8  # questions answered together


@dataclass(slots=True)
class Answers:
    """Exact match and F1 by SQuAD's processors, for each number of examples in context.

    A decoder continues the prompt; T5 is shown the prompt and a sentinel and writes what belongs there; another
    encoder-decoder is shown the prompt and writes the answer. It ends at EOS, at a newline, or where the network begins
    another line of the prompt's ("Question:").

    Attributes:
        test, train, columns, prompt, instruction, separator, shots, limit, seed: as those of `Choices`.
        answer: the field with the answer, a text or a list of texts each of which is right; none: there is no answer.
        generation: how answers are generated; GPT-3's search has 4 beams and a length penalty of 0.6.
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
    generation: GenerationConfig = field(
        default_factory=lambda: GenerationConfig(max_new_tokens=32, num_beams=4, length_penalty=0.6)
    )
    limit: int = 0
    seed: int = 0

    def check(self) -> None:
        """Raises UserError for settings that do not fit together."""
        check_settings(self.prompt, self.shots, self.train, self.limit)
        if self.generation.new_tokens < 1:
            raise UserError(f"config.task.generation.max_new_tokens is {self.generation.new_tokens}: give 1 or more.")
        if self.generation.num_return_sequences != 1:
            raise UserError("config.task.generation.num_return_sequences is for several answers: leave it at 1.")
        self.generation.strategy()

    def evaluate(self, scorer: Scorer) -> Report:
        """Raises UserError for settings that do not fit together, examples that can't be read, or the wrong network."""
        self.check()
        writer = Writer(scorer, self.generation)
        rows = read_rows(self.test, self.columns)[: self.limit or None]
        golds = [_texts(row, self.answer) for row in rows]
        pool = []
        for row in read_rows(self.train, self.columns) if any(self.shots) else []:
            if texts := _texts(row, self.answer):
                pool.append((row, texts[0]))
        if any(self.shots):
            check_pool(pool, self.shots, self.train)
        report = Report([])
        for shots in self.shots:
            self._add(report, writer, rows, golds, pool, shots)
        report.notes.append("Chance: always saying nothing, which is right where there is no answer.")
        return report

    def _add(
        self,
        report: Report,
        writer: "Writer",
        rows: list[Row],
        golds: list[list[str]],
        pool: list[Example],
        shots: int,
    ) -> None:
        prompter = Prompter(self.prompt, self.instruction, self.separator, self.seed)
        prompts, fit = [], Fit()
        for number, row in enumerate(rows):
            prompt, dropped = prompter.fitting(row, prompter.drawn(pool, row, number, shots), writer.fits)
            fit.add(dropped, writer.fits(prompt))
            prompts.append(prompt)
        part = f"{shots} examples"
        stops = labels(self.prompt)
        answers = [_until(written, stops) for written in writer.write(prompts, f"answers, {part}")]
        exact = [exact_match(answer, gold) for answer, gold in zip(answers, golds, strict=True)]
        f1s = [f1(answer, gold) for answer, gold in zip(answers, golds, strict=True)]
        silent = sum(exact_match("", gold) for gold in golds) / len(golds)
        report.measures += [
            accuracy([value > 0 for value in exact], part, silent, "exact match"),
            Measure("F1, %", 100 * sum(f1s) / len(f1s), part, 100 * silent, len(f1s)),
        ]
        report.notes += fit.notes(part, len(rows), writer.room)
        for row, gold, answer, exactness, overlap in zip(rows, golds, answers, exact, f1s, strict=True):
            line = {"place": row.place, "shots": shots, "answer": answer, "right": gold}
            report.predictions.append(line | {"exact_match": exactness, "f1": overlap})


class Writer:
    """A network that answers prompts.

    Raises:
        UserError: the network writes no text, or has no room for a prompt beside the answer.
    """

    def __init__(self, scorer: Scorer, generation: GenerationConfig) -> None:
        kind, shown = scorer.network.kind, scorer.scoring_format.shown
        vocabulary = scorer.tokenizer.vocabulary
        writes = kind == "decoder" or (kind == "encoder_decoder" and scorer.scoring_format.start == vocabulary.padding)
        if not writes or shown == "mask":
            raise UserError(
                f"This {type(scorer.network.module).__name__} does not write an answer after a prompt: use a decoder "
                "such as GPT-2, or T5."
            )
        if scorer.scoring_format.language is not None:
            raise UserError("Answers are written without a language, which this network reads beside each token.")
        self._scorer, self._generation = scorer, generation
        self._before = list(scorer.scoring_format.prefix)
        self._after = [] if kind == "decoder" else [vocabulary.eos]
        self._blank = vocabulary.sentinels[0] if shown == "sentinel" else None
        if self._blank is not None:
            self._after = [self._blank, *self._after]
        self.room = scorer.length - generation.new_tokens - len(self._before) - len(self._after)
        if self.room < 1:
            raise UserError(
                f"config.task.generation.max_new_tokens is {generation.new_tokens}, so that no question fits into "
                f"{scorer.length} tokens: lower it."
            )

    def fits(self, prompt: str) -> bool:
        """Whether prompt and answer can be read at once."""
        return len(self._scorer.tokenizer.encode(prompt)) <= self.room

    def write(self, prompts: list[str], what: str) -> list[str]:
        """The text after each prompt, of which the last tokens are read where it does not fit."""
        tokenizer = self._scorer.tokenizer
        ids = [self._before + tokens[-self.room :] + self._after for tokens in tokenizer.encode_batch(prompts)]
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))  # the same lengths in a batch
        written = [""] * len(ids)
        progress = ProgressLine(what, "questions", self._scorer.shown)
        for first in range(0, len(order), BATCH):
            part = order[first : first + BATCH]
            for number, tokens in zip(part, self._continued([ids[number] for number in part]), strict=True):
                written[number] = tokenizer.decode(tokens)
            progress.update((first + len(part)) / len(order), first + len(part))
        progress.close()
        return written

    def _continued(self, prompts: list[list[int]]) -> list[list[int]]:
        network, tokenizer = self._scorer.network, self._scorer.tokenizer
        vocabulary = tokenizer.vocabulary
        outputs = generate_ids(
            network,
            tokenizer,
            prompts + prompts[-1:] * (BATCH - len(prompts)),  # all batches of one size share a program
            self._generation,
            allowed_special=() if self._blank is None else vocabulary.sentinels,
            batch_size=BATCH,
        )[: len(prompts)]
        if self._blank is None:
            return [output for [output] in outputs]
        return [read_spans(output, vocabulary.sentinels).get(0, []) for [output] in outputs]


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


def _until(written: str, stops: list[str]) -> str:
    """The first line of what is written, up to where one of `stops` begins."""
    answer = written.strip().split("\n")[0]
    for stop in stops:
        answer = answer.split(stop)[0]
    return answer.strip()
