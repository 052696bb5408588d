"""Tasks whose answer is a text: summaries, translations, headlines.

Metrics are those of sacrebleu (Post 2018) and rouge-score (Lin 2004), from 0 to 100 as papers print them. Those with
"match" and squad_f1, the latter by SQuAD's rules, are shares; perplexity is that of the target's tokens under the
network, so that it depends on the tokenizer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF

from plmjax.data.examples.rows import Row
from plmjax.data.store.sentences import split_sentences
from plmjax.errors import UserError
from plmjax.tasks.exact_match import exact_match, f1
from plmjax.tasks.metrics import Metric, check_metrics, measure, register
from plmjax.tasks.supervised import FIELD, Example, Split, SupervisedTask, text_of

PERPLEXITY = "perplexity"  # the one metric that is taken from the loss
References = Sequence[Sequence[str]]


def _exact_match(written: Sequence[str], references: References) -> float:
    right = [
        " ".join(text.split()) in {" ".join(one.split()) for one in known}
        for text, known in zip(written, references, strict=True)
    ]
    return sum(right) / len(right)


def _corpus_score(metric: Any, written: Sequence[str], references: References) -> float:
    most = max(map(len, references))
    streams = [[known[place] if place < len(known) else None for known in references] for place in range(most)]
    return float(metric.corpus_score(list(written), streams).score)


def _rouge(name: str, references: References, written: Sequence[str], _: Sequence[str]) -> float:
    """The mean of the best F1 over an example's references."""
    scorer = rouge_scorer.RougeScorer([name], use_stemmer=True)
    lines = _sentences if name == "rougeLsum" else str
    scores = [
        scorer.score_multi([lines(one) for one in known], lines(text))[name].fmeasure
        for text, known in zip(written, references, strict=True)
    ]
    return 100 * float(np.mean(scores))


def _sentences(text: str) -> str:
    """A sentence a line, which is what rougeLsum compares: a line of the text is one or several."""
    return "\n".join(sentence for line in text.split("\n") for sentence in split_sentences("en", line))


ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
for _metric in (
    Metric("bleu", ("seq2seq",), lambda t, p, _: _corpus_score(BLEU(), p, t), scale=100.0),
    Metric("bleu_intl", ("seq2seq",), lambda t, p, _: _corpus_score(BLEU(tokenize="intl"), p, t), scale=100.0),
    Metric("chrf", ("seq2seq",), lambda t, p, _: _corpus_score(CHRF(), p, t), scale=100.0),
    *(Metric(name, ("seq2seq",), partial(_rouge, name), scale=100.0) for name in ROUGE),
    Metric("exact_match", ("seq2seq",), lambda t, p, _: _exact_match(p, t), is_share=True),
    Metric("squad_f1", ("seq2seq",), lambda t, p, _: float(np.mean(list(map(f1, p, t))))),
    Metric(
        "squad_exact_match", ("seq2seq",), lambda t, p, _: float(np.mean(list(map(exact_match, p, t)))), is_share=True
    ),
    Metric(PERPLEXITY, ("seq2seq",), None, lower_is_better=True),
):
    register(_metric)


@dataclass(slots=True)
class Seq2SeqTask(SupervisedTask):
    """A text to write for a text.

    Attributes:
        text: what is read: a field of the row, or a template with {field}.
        target: what is to be written: a field, a template, or a field that holds a list, each of whose texts is right
            and the first of which is learned. An empty one is not known; only in tests.
        learn_each: whether each of those texts is learned, as an example of its own.
        metric: names of plmjax.tasks.metrics; checkpoints are chosen by the first.
    """

    kind: ClassVar[str] = "seq2seq"

    text: str = "text"
    target: str = "target"
    learn_each: bool = False
    metric: tuple[str, ...] = ("rougeLsum", "rouge1", "rouge2", "rougeL")

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.metric

    @property
    def num_outputs(self) -> int:
        return 0

    def prepare(self) -> None:
        check_metrics(self.kind, self.metric)

    def example(self, row: Row) -> Example:
        return Example(texts=(text_of(row, self.text),), target=self._references(row), **self.identity(row))

    def splits(self) -> Split:
        found = SupervisedTask.splits(self)
        if self.learn_each:
            found["train"] = [replace(one, target=(text,)) for one in found["train"] for text in one.target]
        return found

    def measure(self, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        """All metrics but the perplexity, which is the loss's and is added by the task model."""
        references, groups = [example.target for example in examples], [example.group for example in examples]
        return measure(self.kind, self.metric, references, predictions, groups)

    def notes(self, splits: Mapping[str, Sequence[Example]]) -> list[str]:
        """The libraries' signatures, which say how the numbers were taken."""
        found: dict[str, None] = {}
        for name, metric in (("bleu", BLEU()), ("bleu_intl", BLEU(tokenize="intl")), ("chrf", CHRF())):
            for examples in splits.values():
                references = [example.target for example in examples if example.target is not None]
                if name in self.metric and references:
                    _corpus_score(metric, [known[0] for known in references], references)
                    found[f"{name}: {metric.get_signature()}"] = None
        if any(name in ROUGE for name in self.metric):
            release = version("rouge-score")
            found[f"rouge: F1, best reference|case:lower|stemmer:porter|Lsum:sentencex|version:{release}"] = None
        return list(found)

    def shown_target(self, example: Example) -> Any:
        return example.target if example.target is None or len(example.target) > 1 else example.target[0]

    def _references(self, row: Row) -> tuple[str, ...] | None:
        given = text_of(row, self.target) if FIELD.search(self.target) else row[self.target]
        texts = [given] if isinstance(given, str) else given
        if texts is None or texts == [""] or len(texts) == 0:
            return None
        if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) and text.strip() for text in texts):
            raise UserError(
                f"{row.place} has {given!r:.60} in {self.target!r}: a text is needed, or a list of texts, none empty."
            )
        return tuple(texts)
