"""Answers by a beam: the loss and the beams of `transformers` on PyTorch, and which span is told of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.finetune.backbones import make_backbone
from plmjax.finetune.features import Feature, make_batch
from plmjax.finetune.network import limits_of, network_config
from plmjax.finetune.task_models import make_task_model
from plmjax.finetune.task_models.question_answering import Window
from plmjax.finetune.task_models.question_answering_beam import BeamQuestionAnsweringModel
from plmjax.interop import Pretrained, load_huggingface
from plmjax.modules import FAMILIES, Bound, build
from plmjax.tasks.spans import QuestionAnsweringTask, SpanPrediction
from tests.finetune.kit import recipe, write_jsonl
from tests.finetune.test_task_models import CONTEXT
from tests.interop import reference
from tests.interop.case import Case

XLNET = {"vocab_size": 300, "d_model": 24, "n_layer": 2, "n_head": 2, "d_inner": 40, "mem_len": None}
ANSWERS = ("very good", "", "the plot")


def task_in(folder: Path) -> QuestionAnsweringTask:
    """Three questions, of which the second has no answer."""
    rows = [
        {
            "question": "it was " + "rather " * number + "?",
            "context": CONTEXT,
            "answers": [text] if text else [],
            "answer_starts": [CONTEXT.index(text)] if text else [],
        }
        for number, text in enumerate(ANSWERS)
    ]
    return QuestionAnsweringTask(train=str(write_jsonl(folder / "spans.jsonl", rows)), unanswerable=True)


def task_model_with(pretrained: Pretrained, task: QuestionAnsweringTask) -> Any:
    given = recipe()
    given.task_model = "beam_question_answering"
    return make_task_model(task, make_backbone(pretrained, given), limits_of(pretrained.config, given), given)


def test_loss_and_beams_are_theirs(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """But for the class's loss: theirs reads the true start, by which it would know the answer; the released code's,
    and ours, the start that the network expects, as in evaluation."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    model = reference.random_model(Case("XLNetForQuestionAnswering", XLNET))
    model.save_pretrained(tmp_path / "theirs")
    task = task_in(tmp_path)
    examples = task.splits()["train"]
    pretrained = replace(load_huggingface(tmp_path / "theirs"), tokenizer=tokenizer)
    task_model = task_model_with(pretrained, task)
    config = replace(network_config(pretrained.config, task_model, recipe()), unroll=False)
    features = task_model.features(examples, learn=True)
    batch = make_batch(features, 3, max(feature.length for feature in features) + 3, task_model.padding)
    forward = jax.jit(lambda params, batch: task_model.forward(Bound(build(config), params), batch, False))
    losses, metrics, outputs = jax.device_get(forward(pretrained.params, batch))

    hidden, index = (
        torch.tensor(1.0 - batch["allowed"], dtype=torch.float32),
        torch.tensor(batch["class_index"].astype(np.int64)),
    )
    names = {"input_ids": "tokens", "attention_mask": "segments", "token_type_ids": "token_types"}
    inputs = {name: torch.tensor(batch[ours]) for name, ours in names.items()} | {"p_mask": hidden}
    places = {f"{side}_positions": torch.tensor(batch[f"answer_{side}"].astype(np.int64)) for side in ("start", "end")}
    with torch.no_grad():
        theirs = model(**inputs, **places)
        told = model(**inputs, cls_index=index)
        states = model.transformer(**{name: value for name, value in inputs.items() if name != "p_mask"})[0]
        shares = torch.softmax(model.start_logits(states, p_mask=hidden), dim=-1)
        expected = torch.einsum("blh,bl->bh", states, shares)
        scores = model.answer_class(states, start_states=expected, cls_index=index)
        silence = torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.tensor([0.0, 1.0, 0.0]))
    assert losses["task"].mean() == pytest.approx(float(theirs.loss), abs=1e-4)
    assert losses["no_answer"].mean() == pytest.approx(float(silence), abs=1e-4)
    assert task_model.coefficients() == {"no_answer": 0.5}
    right = ((scores > 0) == torch.tensor([False, True, False])).float().mean()
    assert metrics["no_answer_accuracy"].mean() == pytest.approx(float(right))
    np.testing.assert_allclose(outputs["no_answer"], told.cls_logits.numpy(), atol=1e-4)
    np.testing.assert_array_equal(outputs["starts"], told.start_top_index.numpy())
    np.testing.assert_allclose(outputs["start_probabilities"], told.start_top_log_probs.numpy(), atol=1e-4)
    np.testing.assert_array_equal(outputs["ends"].reshape(3, -1), told.end_top_index.numpy())
    np.testing.assert_allclose(outputs["end_probabilities"].reshape(3, -1), told.end_top_log_probs.numpy(), atol=1e-4)
    # A span is told of each, out of the context, and the score of none is the class's.
    found = task_model.predictions(
        examples, features, [{name: value[row] for name, value in outputs.items()} for row in range(3)]
    )
    assert all(answer.text and answer.text in CONTEXT for answer in found)
    assert [answer.no_answer for answer in found] == pytest.approx(outputs["no_answer"].tolist())


def test_the_span_that_is_told(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """By hand: two windows of one context "abcdef", a token a letter, from place 2 of the row; two starts, two ends."""
    task = task_in(tmp_path)
    task_model = task_model_with(shapeless(tokenizer), task)
    task_model.recipe.max_answer_length = 3
    example = replace(task.splits()["train"][0], texts=("?", "abcdef"))
    at = np.arange(4)
    windows = [
        Window(2, at, at + 1, np.array([True, True, False, False]), 9),
        Window(2, at + 2, at + 3, np.array([True] * 4), 9),
    ]
    features = [Feature(0, 10, {}, {}, window) for window in windows]

    def row(starts: list[int], ends: list[list[int]], scores: list[list[float]], none: float) -> dict[str, np.ndarray]:
        return {
            "starts": np.array(starts),
            "start_probabilities": np.array([0.6, 0.4]),
            "ends": np.array(ends).T,
            "end_probabilities": np.array(scores).T,
            "no_answer": np.array(none),
        }

    # The class token is no start; an end before its start and a span of 4 are none; and "d" is shown better elsewhere.
    first = row([9, 3], [[9, 2], [2, 5]], [[1.0, 0.9], [0.7, 0.1]], 0.5)
    second = row([4, 2], [[3, 9], [5, 4]], [[0.9, 0.1], [0.8, 0.2]], -0.25)
    assert task_model.predictions([example], features, [first, second]) == [
        SpanPrediction("cde", -0.25, pytest.approx(0.08), 2, 5)
    ]
    assert task_model.predictions([example], features[:1], [first]) == [
        SpanPrediction("bcd", 0.5, pytest.approx(0.04), 1, 4)
    ]
    hopeless = row([9, 4], [[9, 9], [4, 5]], [[0.9, 0.1], [0.5, 0.5]], 0.5)
    assert task_model.predictions([example], features[:1], [hopeless]) == [SpanPrediction("", 0.5)]


def shapeless(tokenizer: Tokenizer, family: str = "xlnet") -> Pretrained:
    config = replace(FAMILIES[family].variants["tiny"], vocab_size=300)
    return Pretrained(config, {}, {"xlnet": "XLNetLMHeadModel", "bert": "BertModel"}[family], tokenizer)


def test_bad_recipes(tokenizer: Tokenizer, tmp_path: Path) -> None:
    task = task_in(tmp_path)
    assert isinstance(task_model_with(shapeless(tokenizer), task), BeamQuestionAnsweringModel)
    with pytest.raises(UserError, match="A BertConfig has no beam head for question answering"):
        task_model_with(shapeless(tokenizer, "bert"), task)
    given = recipe()
    given.task_model = "beams"
    with pytest.raises(UserError, match="task_model is 'beams': it must be empty or one of beam_question_answering"):
        make_task_model(task, make_backbone(shapeless(tokenizer), given), None, given)  # type: ignore[arg-type]
    given.task_model = "beam_question_answering"
    other = type("Task", (), {"kind": "token_classification"})()
    with pytest.raises(UserError, match="kind question_answering, but this one is 'token_classification'"):
        make_task_model(other, make_backbone(shapeless(tokenizer), given), None, given)  # type: ignore[arg-type]
