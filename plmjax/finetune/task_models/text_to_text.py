"""Tasks of other kinds done by writing their answers (Raffel et al. 2020, Sec. 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plmjax.finetune.task_models.base import RowOutput
from plmjax.finetune.task_models.seq2seq import Seq2SeqModel
from plmjax.tasks.supervised import Example
from plmjax.tasks.verbalizers import verbalizer_of

INVALID = "invalid_answers"  # texts that are no answer


class TextToTextModel(Seq2SeqModel):
    """Any task that has a form in words."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        tokenizer = self.backbone.tokenizer
        self.form = verbalizer_of(self.task, lambda text: tokenizer.decode(tokenizer.encode_targets([text])[0]).strip())

    def source(self, example: Example) -> str:
        return self.form.source(example)

    def target(self, example: Example) -> str | None:
        return None if example.target is None else self.form.target(example)

    def read_off(self, example: Example, text: str) -> Any:
        return self.form.answer(example, text)

    def measure(self, loss: float, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        """Adds the number of texts that are not a valid answer."""
        none = sum(map(self.form.is_none, examples, predictions))
        return super().measure(loss, examples, predictions) | {INVALID: float(none)}

    def readable(self, example: Example, prediction: Any, rows: Sequence[RowOutput]) -> dict[str, Any]:
        """The answer, None where it is none, and what was written."""
        return {"prediction": self.form.shown(example, prediction), "written": self.text(rows[0])}
