"""`Model`: a checkpoint with methods on plain strings, which `plmjax.load` gives.

A method takes a string and gives one result, or a list of strings and gives a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

from plmjax import interop
from plmjax.decode.config import GenerationConfig
from plmjax.interop import Pretrained
from plmjax.pipelines import generate, predict
from plmjax.pipelines.predictor import Predictor
from plmjax.pipelines.task_metadata import task_of, unsupported


def load(directory: str | Path, part: str | None = None) -> Model:
    """Loads a working folder of an experiment, one step of it, or a directory of Hugging Face `transformers`.

    Args:
        directory: of the checkpoint.
        part: of a checkpoint with several networks, the one to load ("discriminator", "generator"); None: the one that
            the others served to train.

    Raises:
        UserError: there is no good checkpoint, it has no such part, or it holds a network that this version lacks.
    """
    return Model.of(interop.load(directory, part))


def load_huggingface(directory: str | Path) -> Model:
    """Loads a directory of `transformers`; see plmjax.interop.load_huggingface."""
    return Model.of(interop.load_huggingface(directory))


class Model(Pretrained):
    """A `Pretrained` that takes strings too."""

    @classmethod
    def of(cls, pretrained: Pretrained) -> Model:
        """The same network, parameters and tokenizer."""
        return cls(**{field.name: getattr(pretrained, field.name) for field in fields(Pretrained)})

    def classify(self, texts: str | Sequence[str], pairs: str | Sequence[str] | None = None) -> Any:
        """The label of each text, or pair of texts, with the probability of every label: a LabelPrediction.

        A regression network gives a float instead.

        Raises:
            UserError: the checkpoint has no such head, or a text is blank or too long; so do the other methods.
        """
        predictor = self.predictor("classify texts", ("classification", "regression"))
        return predict.classify(predictor, texts, pairs)

    def tag(self, texts: str | Sequence[str] | Sequence[Sequence[str]]) -> Any:
        """The words with their tags, and the entities that these make: a TagPrediction.

        A string is split at its blanks. A list of strings is the words of one text, a list of lists of several.
        """
        return predict.tag(self.predictor("tag words", ("token_classification",)), texts)

    def answer(self, questions: str | Sequence[str], contexts: str | Sequence[str]) -> Any:
        """The part of a context that answers a question: an AnswerPrediction; one context may serve all questions."""
        return predict.answer(self.predictor("answer questions", ("question_answering",)), questions, contexts)

    def choose(self, contexts: str | Sequence[str], choices: Sequence[Any]) -> Any:
        """The likeliest of the choices after a context: a ChoicePrediction; a list of contexts takes a list for each.

        The task fixes the number of choices. A question that stands before each of them is part of the choice.
        """
        return predict.choose(self.predictor("choose among texts", ("multiple_choice",)), contexts, choices)

    def fill_mask(self, texts: str | Sequence[str], top_k: int = 5, **settings: Any) -> Any:
        """The likeliest tokens at each [MASK] or <mask> of a text: a list of plmjax.decode.fill.Candidate for each.

        An encoder-decoder with sentinels fills <extra_id_0> and so on, or ___: plmjax.decode.fill.FilledText. Its
        `settings` are those of `generate`.
        """
        return generate.fill_mask(self, texts, top_k, settings)

    def generate(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        generation_config: GenerationConfig | None = None,
        *,
        source: str | None = None,
        target: str | None = None,
        **settings: Any,
    ) -> Any:
        """Text for each text, or ids for ids; settings and defaults are those of `Pretrained.generate`.

        A decoder gives the text that follows, an encoder-decoder the text that it makes of the given one. Special
        tokens are not generated in a text. With num_return_sequences above 1 there is a list for each text.

        Args:
            input_ids: a string, several strings, or int [B, L].
            attention_mask: of ids, int [B, L].
            generation_config: see `Pretrained.generate`.
            source, target: an mBART's languages ("en_XX", "de_DE").
            settings: fields of GenerationConfig, such as max_new_tokens.

        Raises:
            UserError: the checkpoint generates no text or has no tokenizer, a text is blank, a language is missing, or
                the settings do not fit together.
        """
        several = isinstance(input_ids, (list, tuple)) and isinstance(input_ids[0], str)
        if several or isinstance(input_ids, str):
            return generate.generate(self, input_ids, source, target, generation_config, settings)
        return super().generate(input_ids, attention_mask, generation_config, **settings)

    def stream(self, text: str, **settings: Any) -> Iterator[str]:
        """Streams the text that `generate` gives for one text that a decoder continues, piece by piece.

        Raises:
            UserError: as `generate`, or the text is known at the end alone, as in beam search.
        """
        return generate.stream(self, text, settings)

    def predictor(self, action: str, kinds: Sequence[str]) -> Predictor:
        """The predictor of the checkpoint's task.

        Args:
            action: what is asked for ("classify texts"), for the error.
            kinds: of the tasks that can do it.

        Raises:
            UserError: the checkpoint has no such task, or no tokenizer.
        """
        if self._task is None or self._task.kind not in kinds:
            raise unsupported(self, action)
        return self._predictor

    @cached_property
    def _task(self) -> Any | None:
        return task_of(self)

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor(self, self._task)  # made once, as it holds compiled programs
