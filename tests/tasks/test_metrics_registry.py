"""The registry: every metric with its direction and scale, a metric of one's own, and what is refused."""

import pytest

from plmjax.errors import UserError
from plmjax.finetune.results import better
from plmjax.tasks import metrics
from plmjax.tasks.classification import ClassificationTask
from plmjax.tasks.metrics import Metric, check_metrics, is_share, lower_is_better, metrics_of, register
from plmjax.tasks.registry import named
from plmjax.tasks.supervised import Example
from plmjax.tasks.tagging import TokenClassificationTask

SHARES = {"accuracy", "exact_match", "group_exact_match", "squad_exact_match"}


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Metric:
    monkeypatch.setattr(metrics, "_METRICS", dict(metrics._METRICS))
    wrong = lambda targets, predictions, groups: sum(t != p for t, p in zip(targets, predictions, strict=True))  # noqa: E731
    return register(Metric("mistakes", ("classification",), wrong, lower_is_better=True))


def test_directions_and_shares_of_all() -> None:
    names = {
        name
        for kind in (
            "classification",
            "regression",
            "multiple_choice",
            "token_classification",
            "question_answering",
            "seq2seq",
        )
        for name in metrics_of(kind)
    }
    assert {name for name in names if lower_is_better(name)} == {"squared_error", "perplexity"}
    assert {name for name in names if is_share(name)} == SHARES
    assert lower_is_better("wmt_en_de_perplexity") and not lower_is_better("sst2_accuracy")  # of a mixture's members
    assert not lower_is_better("unknown")


def test_a_metric_of_ones_own_chooses_by_its_direction(own: Metric) -> None:
    task = ClassificationTask(labels=("no", "yes"), metric=("mistakes", "accuracy"))
    task.prepare()
    examples = [Example(str(number), "", ("a",), target) for number, target in enumerate((1, 1, 0))]
    assert task.measure(examples, [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]) == {
        "mistakes": 1, "accuracy": pytest.approx(2 / 3),
    }  # fmt: skip
    assert better("mistakes", 1.0, 2.0) and not better("mistakes", 2.0, 1.0)
    assert better("accuracy", 2.0, 1.0) and better("mistakes", 5.0, None)
    register(own)  # the same again is no error: a module may be imported twice
    with pytest.raises(UserError, match="have a metric 'mistakes' already: choose another name"):
        register(Metric("mistakes", ("classification",), None))


def test_what_a_kind_lacks_is_refused() -> None:
    with pytest.raises(UserError, match="task.metric has 'bleu': choose from accuracy, matthews, f1"):
        check_metrics("classification", ("accuracy", "bleu"))
    with pytest.raises(UserError, match="task.metric is empty: choose from pearson"):
        check_metrics("regression", ())


def tagged(tmp_path, *rows: str, **fields) -> TokenClassificationTask:
    file = tmp_path / "tags.txt"
    file.write_text("".join(f"{row}\n" for row in rows))
    task = TokenClassificationTask(train=str(file), **fields)
    task.prepare()
    return task


def test_tags_without_b_and_i_get_no_scheme(tmp_path) -> None:
    task = tagged(tmp_path, "the DET", "cat NOUN", "sat VERB")
    assert (task.scheme, task.metric, task.labels) == ("none", ("accuracy", "macro_tag_f1"), ("DET", "NOUN", "VERB"))
    examples = task.splits()["train"]
    found = task.measure(examples, [("DET", "NOUN", "NOUN")])
    assert found == {"accuracy": pytest.approx(2 / 3), "macro_tag_f1": pytest.approx((1 + 2 / 3 + 0) / 3)}
    entities = tagged(tmp_path, "Ann B-PER", "Lee I-PER", "left O")
    assert (entities.scheme, entities.metric[0]) == ("IOB2", "f1")
    with pytest.raises(UserError, match="task.metric has 'f1', but tags without a scheme make no entities"):
        tagged(tmp_path, "the DET", metric=("f1",))
    assert named("conll2003_files").scheme == "IOB1"
