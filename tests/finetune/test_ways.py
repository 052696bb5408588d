"""What each way makes of an example, and that a batch's loss does not depend on how it was filled up."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from plmjax.data.tokenizers import Tokenizer
from plmjax.finetune.features import make_batch
from plmjax.modules import Bound
from plmjax.tasks.classification import Classification, Regression
from plmjax.tasks.multiple_choice import MultipleChoice
from plmjax.tasks.spans import Spans
from plmjax.tasks.tagging import Tagging
from tests.finetune.kit import checkpoint, way_of, write_jsonl

CONTEXT = "the plot was very good and the story was rather dull"


def tasks(folder: Path) -> dict[str, Any]:
    """One task of each kind, of three examples."""
    rows = {
        "classification": [
            {"text": "a good film", "other": "it was", "label": label} for label in ("no", "yes", "yes")
        ],
        "regression": [{"text": "a good film", "other": "it was very fine", "label": score} for score in (0.5, 3, 1)],
        "tagging": [
            {"tokens": ["good", "actor", "was", "fine"], "tags": ["B-X", "I-X", "O", "B-Y"]},
            {"tokens": ["story"], "tags": ["O"]},
            {"tokens": ["a", "scene"], "tags": ["O", "B-X"]},
        ],
        "spans": [
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
        "classification": Classification(train=files["classification"], pair="other", symmetric=True),
        "regression": Regression(train=files["regression"], pair="other"),
        "tagging": Tagging(train=files["tagging"]),
        "spans": Spans(train=files["spans"]),
        "multiple_choice": MultipleChoice(train=files["multiple_choice"]),
    }


KINDS = {
    "bert": ("bert", {}),
    "roberta": ("bert", {"variant": "roberta_tiny"}),
    "xlnet": ("xlnet", {}),
    "gpt": ("gpt", {"variant": "gpt1_tiny"}),
    "deberta": ("deberta", {}),
}


CASES = [
    *(("bert", kind) for kind in ("classification", "regression", "tagging", "spans", "multiple_choice")),
    ("roberta", "classification"),
    ("xlnet", "classification"),
    ("xlnet", "spans"),
    ("gpt", "classification"),
    ("gpt", "multiple_choice"),
    ("deberta", "tagging"),
]


@pytest.mark.parametrize(("network", "kind"), CASES)
def test_the_loss_does_not_depend_on_the_bucket(network: str, kind: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    family, options = KINDS[network]
    task = tasks(tmp_path)[kind]
    examples = task.splits()["train"]
    way, bound = way_of(checkpoint(tokenizer, family, **options), task)
    features = way.features(examples, learn=True)
    longest = max(feature.length for feature in features)
    forward = jax.jit(lambda params, batch: way.forward(Bound(bound.module, params), batch, train=True))

    def outcome(rows: int, length: int) -> Any:
        batch = make_batch(features, rows, length, way.padding)
        losses, _, outputs = forward(bound.params, batch)
        found = [{name: np.asarray(value)[row] for name, value in outputs.items()} for row in range(len(features))]
        return {name: float(loss.mean()) for name, loss in losses.items()}, way.predictions(examples, features, found)

    tight, wide = outcome(len(features), longest), outcome(len(features) + 2, longest + 9)
    assert tight[0] == pytest.approx(wide[0], rel=2e-5)
    assert tight[0]["task"] > 0
    for one, other in zip(tight[1], wide[1], strict=True):
        if kind == "spans":
            assert one.text == other.text
        elif kind == "tagging":
            assert one == other
        else:
            np.testing.assert_allclose(one, other, atol=1e-5)
