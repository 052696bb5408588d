"""What each task model makes of an example, and that a batch's loss does not depend on how it was filled up."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.finetune.features import make_batch
from plmjax.modules import Bound
from plmjax.tasks.classification import ClassificationTask, RegressionTask
from plmjax.tasks.multiple_choice import MultipleChoiceTask
from plmjax.tasks.spans import QuestionAnsweringTask
from plmjax.tasks.tagging import TokenClassificationTask
from tests.finetune.kit import checkpoint, task_model_of, write_jsonl

CONTEXT = "the plot was very good and the story was rather dull"


def tasks(folder: Path) -> dict[str, Any]:
    """One task of each kind, of three examples."""
    rows = {
        "classification": [
            {"text": "a good film", "other": "it was", "label": label} for label in ("no", "yes", "yes")
        ],
        "regression": [{"text": "a good film", "other": "it was very fine", "label": score} for score in (0.5, 3, 1)],
        "token_classification": [
            {"tokens": ["good", "actor", "was", "fine"], "tags": ["B-X", "I-X", "O", "B-Y"]},
            {"tokens": ["story"], "tags": ["O"]},
            {"tokens": ["a", "scene"], "tags": ["O", "B-X"]},
        ],
        "question_answering": [
            {"question": "it was ?", "context": CONTEXT, "answers": [text], "answer_starts": [CONTEXT.index(text)]}
            for text in ("very good", "the plot", "dull")
        ],
        "multiple_choice": [
            {"context": "the film was", "choices": ["good", "bad", "a very dull story", "it"], "label": label}
            for label in (2, "A", "it")
        ],
    }
    files = {name: str(write_jsonl(folder / f"{name}.jsonl", lines)) for name, lines in rows.items()}
    return {
        "classification": ClassificationTask(train=files["classification"], pair="other", symmetric=True),
        "regression": RegressionTask(train=files["regression"], pair="other"),
        "token_classification": TokenClassificationTask(train=files["token_classification"]),
        "question_answering": QuestionAnsweringTask(train=files["question_answering"]),
        "multiple_choice": MultipleChoiceTask(train=files["multiple_choice"]),
    }


KINDS = {
    "bert": ("bert", {}),
    "roberta": ("bert", {"variant": "roberta_tiny"}),
    "xlnet": ("xlnet", {}),
    "gpt": ("gpt", {"variant": "gpt1_tiny"}),
    "deberta": ("deberta", {}),
    "bart": ("bart", {}),
}


CASES = [
    *(
        ("bert", kind)
        for kind in ("classification", "regression", "token_classification", "question_answering", "multiple_choice")
    ),
    ("roberta", "classification"),
    ("xlnet", "classification"),
    ("xlnet", "question_answering"),
    ("gpt", "classification"),
    ("gpt", "multiple_choice"),
    ("deberta", "token_classification"),
    ("bart", "token_classification"),
]


@pytest.mark.parametrize(("network", "kind"), CASES)
def test_the_loss_does_not_depend_on_the_bucket(network: str, kind: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    family, options = KINDS[network]
    task = tasks(tmp_path)[kind]
    examples = task.splits()["train"]
    task_model, bound = task_model_of(checkpoint(tokenizer, family, **options), task)
    features = task_model.features(examples, learn=True)
    longest = max(feature.length for feature in features)
    forward = jax.jit(lambda params, batch: task_model.forward(Bound(bound.module, params), batch, train=True))

    def outcome(rows: int, length: int) -> Any:
        batch = make_batch(features, rows, length, task_model.padding)
        losses, _, outputs = forward(bound.params, batch)
        found = [{name: np.asarray(value)[row] for name, value in outputs.items()} for row in range(len(features))]
        return {name: float(loss.mean()) for name, loss in losses.items()}, task_model.predictions(
            examples, features, found
        )

    tight, wide = outcome(len(features), longest), outcome(len(features) + 2, longest + 9)
    assert tight[0] == pytest.approx(wide[0], rel=2e-5)
    assert tight[0]["task"] > 0
    for one, other in zip(tight[1], wide[1], strict=True):
        if kind == "question_answering":
            assert one.text == other.text
        elif kind == "token_classification":
            assert one == other
        else:
            np.testing.assert_allclose(one, other, atol=1e-5)


FAMILIES = {
    "albert": ("albert", {}),
    "distilbert": ("distilbert", {}),
    "electra": ("electra", {}),
    "xlm": ("xlm", {"num_languages": 2}),
    "ctrl": ("ctrl", {}),
    "gpt3": ("gpt3", {}),
    "bart": ("bart", {}),
}


QUICK = ("bart", "ctrl")  # of the others the slow tests see to it


@pytest.mark.parametrize(
    "network", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES]
)
def test_every_family_does_what_its_kind_can(network: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Traced only: the shapes of what each task model gives."""
    family, options = FAMILIES[network]
    pretrained = checkpoint(tokenizer, family, **options)
    kinds = ("classification", "regression", "multiple_choice")
    shapes = {"classification": (3, 2), "regression": (3, 1), "multiple_choice": (3, 4)}
    for kind in (
        kinds if pretrained.module.kind == "decoder" else (*kinds, "token_classification", "question_answering")
    ):
        task = tasks(tmp_path)[kind]
        examples = task.splits()["train"]
        task_model, bound = task_model_of(pretrained, task)
        features = task_model.features(examples, learn=True)
        batch = make_batch(features, 3, max(feature.length for feature in features), task_model.padding)
        losses, _, outputs = jax.eval_shape(partial(traced, task_model, bound.module), bound.params, batch)
        assert set(losses) == ({"task", "lm"} if pretrained.module.kind == "decoder" else {"task"})
        for name, output in outputs.items():
            assert output.shape == shapes.get(kind, (3, batch["tokens"].shape[1])), (kind, name)


def traced(task_model: Any, module: Any, params: Any, batch: Any) -> Any:
    return task_model.forward(Bound(module, params), batch, train=True)


def test_gpts_language_model_loss_and_both_orders(tokenizer: Tokenizer, tmp_path: Path) -> None:
    task = tasks(tmp_path)["classification"]
    examples = task.splits()["train"]
    task_model, bound = task_model_of(checkpoint(tokenizer, "gpt", variant="gpt1_tiny"), task)
    assert task_model.coefficients() == {"lm": 0.5}
    features = task_model.features(examples, learn=True)
    tokens = features[0].sequences["tokens"]
    start, delimiter, extract = range(tokenizer.vocabulary.size, tokenizer.vocabulary.size + 3)
    assert tokens.shape[0] == 2
    first, second = (tokenizer.encode(text) for text in examples[0].texts)
    assert tokens[0].tolist() == [start, *first, delimiter, *second, extract]
    assert tokens[1].tolist() == [start, *second, delimiter, *first, extract]
    batch = make_batch(features, 4, features[0].length + 3, task_model.padding)
    run = jax.jit(lambda params, batch: (traced(task_model, bound.module, params, batch), probabilities(params, batch)))

    def probabilities(params: Any, batch: Any) -> Any:
        network = Bound(bound.module, params)
        rows = {name: batch[name].reshape(-1, batch[name].shape[-1]) for name in ("tokens", "segments")}
        return jax.nn.log_softmax(network.token_logits(network.decode(rows["tokens"], None, rows["segments"])))

    (losses, _, outputs), log_p = run(bound.params, batch)
    rows = batch["tokens"].reshape(-1, batch["tokens"].shape[-1])
    real = batch["segments"].reshape(rows.shape).sum(axis=1)
    means = [
        -np.mean([log_p[row, at, rows[row, at + 1]] for at in range(real[row] - 1)])
        for row in range(len(rows))
        if real[row]
    ]
    assert len(means) == 6
    assert float(losses["lm"].mean()) == pytest.approx(np.mean(means), rel=1e-4)
    swapped = batch | {name: batch[name][:, ::-1] for name in ("tokens", "segments", "class_index")}
    (_, _, others), _ = run(bound.params, swapped)
    np.testing.assert_allclose(outputs["logits"], others["logits"], atol=1e-5)
