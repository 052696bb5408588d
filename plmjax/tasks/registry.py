"""The tasks that have names: their sources, fields, labels in the order of their numbers, and metrics.

GLUE and SuperGLUE come from TFDS, whose data sets have their labels in this order. Each NAME of TFDS has a NAME_files
beside it where files have other columns; any other file serves with --task.train, --task.text and so on. The test sets
of GLUE and SuperGLUE have no labels, so that they are not among the tests; --task.test=tfds:glue/sst2:test writes
predictions for them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from plmjax.errors import UserError
from plmjax.tasks.classification import ClassificationTask, RegressionTask
from plmjax.tasks.mixture import TaskMixture
from plmjax.tasks.multiple_choice import MultipleChoiceTask
from plmjax.tasks.pronouns import PronounChoiceTask, WinogradTask
from plmjax.tasks.seq2seq import Seq2SeqTask
from plmjax.tasks.seq2seq_registry import WRITING
from plmjax.tasks.spans import QuestionAnsweringTask
from plmjax.tasks.tagging import TokenClassificationTask

POLARITY = ("negative", "positive")
ACCEPTABLE = ("unacceptable", "acceptable")
ENTAILMENT = ("entailment", "not_entailment")
INFERENCE = ("entailment", "neutral", "contradiction")
YES_NO = ("False", "True")
ENTITIES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")

# name -> (metrics, the first of which chooses checkpoints; labels; fields of the texts). Wang et al. 2018, Table 1.
GLUE: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "cola": (("matthews", "accuracy"), ACCEPTABLE, ("sentence",)),
    "sst2": (("accuracy",), POLARITY, ("sentence",)),
    "mrpc": (("f1", "accuracy"), ("not_equivalent", "equivalent"), ("sentence1", "sentence2")),
    "stsb": (("pearson", "spearman"), (), ("sentence1", "sentence2")),
    "qqp": (("f1", "accuracy"), ("not_duplicate", "duplicate"), ("question1", "question2")),
    "mnli": (("accuracy",), INFERENCE, ("premise", "hypothesis")),
    "qnli": (("accuracy",), ENTAILMENT, ("question", "sentence")),
    "rte": (("accuracy",), ENTAILMENT, ("sentence1", "sentence2")),
    "wnli": (("accuracy",), ("not_entailment", "entailment"), ("sentence1", "sentence2")),
}
SYMMETRIC = frozenset({"mrpc", "stsb", "qqp"})  # GPT reads both orders (Radford et al. 2018, Sec. 3.3)

QUESTION = "idx.paragraph,idx.question"  # MultiRC's answers to one question are scored together
# As GLUE, with the field by which examples belong together (Wang et al. 2019, Table 1).
SUPER_GLUE: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]] = {
    "boolq": (("accuracy",), YES_NO, ("passage", "question"), ""),
    "cb": (("accuracy", "macro_f1"), ("entailment", "contradiction", "neutral"), ("premise", "hypothesis"), ""),
    "multirc": (
        ("f1", "group_exact_match"),
        YES_NO,
        ("paragraph", "{question} {answer}"),
        QUESTION,
    ),
    "super_rte": (("accuracy",), ENTAILMENT, ("premise", "hypothesis"), ""),
    "wic": (("accuracy",), YES_NO, ("{word}: {sentence1}", "{word}: {sentence2}"), ""),
}

TFDS_NAMES = {"super_rte": "rte"}


def glue(name: str) -> Any:
    """One of GLUE's nine."""
    metric, labels, texts = GLUE[name]
    matched = "_matched" if name == "mnli" else ""
    fields: dict[str, Any] = {
        "train": f"tfds:glue/{name}:train",
        "validation": f"tfds:glue/{name}:validation{matched}",
        "test": ("tfds:glue/mnli:validation_mismatched",) if matched else (),
        "text": texts[0],
        "pair": texts[1] if len(texts) > 1 else "",
        "unlabelled": "-1",
        "metric": metric,
        "symmetric": name in SYMMETRIC,
    }
    return ClassificationTask(labels=labels, **fields) if labels else RegressionTask(**fields)


def super_glue(name: str) -> ClassificationTask:
    """One of SuperGLUE's tasks of classification."""
    metric, labels, texts, group = SUPER_GLUE[name]
    source = f"tfds:super_glue/{TFDS_NAMES.get(name, name)}"
    return ClassificationTask(
        train=f"{source}:train",
        validation=f"{source}:validation",
        text=texts[0],
        pair=texts[1],
        labels=labels,
        unlabelled="-1",
        metric=metric,
        group=group,
    )


def sst2_files() -> ClassificationTask:
    """Lines of a sentence and 0 or 1."""
    return ClassificationTask(columns=("sentence", "label"), text="sentence", labels=POLARITY)


def cola_files() -> ClassificationTask:
    """The corpus's own lines: source, label, the author's mark, sentence."""
    return ClassificationTask(
        columns=("source", "label", "mark", "sentence"),
        text="sentence",
        labels=ACCEPTABLE,
        metric=("matthews", "accuracy"),
    )


def sst5_files() -> ClassificationTask:
    """Lines of a sentence and 0 (very negative) to 4 (very positive)."""
    names = ("very negative", "negative", "neutral", "positive", "very positive")
    return ClassificationTask(columns=("sentence", "label"), text="sentence", labels=names)


def conll2003() -> TokenClassificationTask:
    """From TFDS, whose tags are numbers of IOB2's."""
    return TokenClassificationTask(
        train="tfds:conll2003:train",
        validation="tfds:conll2003:dev",
        test=("tfds:conll2003:test",),
        tags="ner",
        tag_names=ENTITIES,
        labels=ENTITIES,
    )


def conll2003_files() -> TokenClassificationTask:
    """The shared task's files, eng.train and so on, whose scheme is IOB1."""
    return TokenClassificationTask(scheme="IOB1", labels=ENTITIES)


def squad(version: str = "v1.1") -> QuestionAnsweringTask:
    return QuestionAnsweringTask(
        train=f"tfds:squad/{version}:train", validation=f"tfds:squad/{version}:validation", id="id"
    )


def squad2() -> QuestionAnsweringTask:
    task = squad("v2.0")
    task.unanswerable = True
    task.metric = ("best_f1", "best_exact_match", "f1", "exact_match", "answered_f1", "unanswered_accuracy")
    return task


def squad_files() -> QuestionAnsweringTask:
    """SQuAD's JSON; --task.unanswerable=True for version 2.0."""
    return QuestionAnsweringTask(id="id")


def xquad() -> QuestionAnsweringTask:
    """XQuAD's JSON, 240 paragraphs of 48 articles: the articles in five parts, each held out in turn by --task.fold."""
    return QuestionAnsweringTask(id="id", group="title", folds=5)


def race() -> MultipleChoiceTask:
    return MultipleChoiceTask(
        train="tfds:race/high:train",
        validation="tfds:race/high:dev",
        test=("tfds:race/high:test",),
        unfold=("questions", "options", "answers"),
        context="article",
        question="questions",
        choices=("options",),
        label="answers",
    )


def swag_files() -> MultipleChoiceTask:
    """SWAG's CSV files, train.csv and val.csv."""
    return MultipleChoiceTask(
        context="sent1",
        question="sent2",
        choices=("ending0", "ending1", "ending2", "ending3"),
    )


def wsc() -> WinogradTask:
    """From TFDS's "wsc.fixed": its "wsc" has labels that its authors have corrected since."""
    return WinogradTask(
        train="tfds:super_glue/wsc.fixed:train",
        validation="tfds:super_glue/wsc.fixed:validation",
        text="text",
        pair="{span2_text} is {span1_text}",
        labels=YES_NO,
        unlabelled="-1",
    )


def dpr() -> PronounChoiceTask:
    """Definite pronoun resolution (Rahman and Ng 2012)."""
    return PronounChoiceTask(
        train="tfds:definite_pronoun_resolution:train",
        test=("tfds:definite_pronoun_resolution:test",),
        context="sentence",
        question="{pronoun} is",
        choices=("candidates",),
        count=2,
    )


def record() -> Seq2SeqTask:
    """ReCoRD (Zhang et al. 2018): the entity that fills a gap, each of the right ones learned (Raffel et al. 2020)."""
    return Seq2SeqTask(
        train="tfds:super_glue/record:train",
        validation="tfds:super_glue/record:validation",
        text="query: {query} entities: {entities} passage: {passage}",
        target="answers",
        learn_each=True,
        metric=("squad_f1", "squad_exact_match"),
    )


def copa() -> MultipleChoiceTask:
    return MultipleChoiceTask(
        train="tfds:super_glue/copa:train",
        validation="tfds:super_glue/copa:validation",
        context="The {question} of: {premise}",
        choices=("choice1", "choice2"),
        count=2,
    )


def glue_mixture() -> TaskMixture:
    """GLUE at once, without WNLI (Raffel et al. 2020, Sec. 2.3)."""
    return TaskMixture(tuple(named(name) for name in GLUE if name != "wnli"))


def super_glue_mixture() -> TaskMixture:
    """SuperGLUE at once, and DPR, which is learned alone (Raffel et al. 2020, Sec. 2.3 and the released code)."""
    return TaskMixture(tuple(named(name) for name in (*SUPER_GLUE, "wsc", "copa", "record", "dpr")))


TASKS: dict[str, Callable[[], Any]] = {
    # kinds, all of whose fields are yours
    "classification": ClassificationTask,
    "regression": RegressionTask,
    "token_classification": TokenClassificationTask,
    "question_answering": QuestionAnsweringTask,
    "multiple_choice": MultipleChoiceTask,
    "seq2seq": Seq2SeqTask,
    # GLUE and SuperGLUE
    **{name: partial(glue, name) for name in GLUE},
    **{name: partial(super_glue, name) for name in SUPER_GLUE},
    "wsc": wsc,
    "copa": copa,
    "record": record,
    "dpr": dpr,
    # others
    "sst2_files": sst2_files,
    "cola_files": cola_files,
    "sst5_files": sst5_files,
    "conll2003": conll2003,
    "conll2003_files": conll2003_files,
    "squad": squad,
    "squad2": squad2,
    "squad_files": squad_files,
    "xquad": xquad,
    "race": race,
    "swag_files": swag_files,
    # several at once, text to text
    "glue_mixture": glue_mixture,
    "super_glue_mixture": super_glue_mixture,
    **WRITING,
}


# Kinds under the names that they had before.
RENAMED = {"tagging": "token_classification", "spans": "question_answering", "writing": "seq2seq"}


def named(name: str) -> Any:
    """A fresh task; UserError for a name that there is not."""
    if name in RENAMED:
        raise UserError(f"The task {name!r} is now called {RENAMED[name]!r}: give it by that name.")
    if name not in TASKS:
        raise UserError(f"No task is named {name!r}: choose one of {', '.join(TASKS)}, or give a file of your own.")
    task = TASKS[name]()
    task.name = "" if name == task.kind else name
    return task
