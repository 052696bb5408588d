"""Methods on strings against the pipelines of `transformers`, on random networks with a real tokenizer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.interop import save_huggingface
from plmjax.pipelines import Model, load
from tests.finetune.kit import checkpoint

TOLERANCE = 1e-4
TEXTS = ["a good film", "the plot was dull and the actor very very poor in it"]
TAGS = ("O", "B-PER", "I-PER")
LOUDER = 40.0  # so that random heads make up their minds
pytest.importorskip("torch")


def exported(tokenizer: Tokenizer, folder: Path, head: str, labels: tuple[str, ...] = ()) -> Model:
    """A tiny BERT with one head, as Hugging Face's directory, and as `load` reads it."""
    found = checkpoint(tokenizer, heads=(head,), num_labels=len(labels) or 2)
    params = {**found.params}
    name = {
        "sequence_classification": "class_head",
        "token_classification": "tag_head",
        "question_answering": "answer_head",
    }.get(head)
    if name:
        rng = np.random.default_rng(5)
        kernel = rng.normal(size=params[name]["kernel"].shape).astype(np.float32)
        params[name] = {**params[name], "kernel": kernel * LOUDER / kernel.shape[0]}
    else:  # sharper token scores
        params["token_head"] = {**params["token_head"], "bias": np.linspace(0, 3, tokenizer.vocabulary.size, dtype="f")}
    extras = {"id2label": {str(number): label for number, label in enumerate(labels)}} if labels else {}
    save_huggingface(replace(found, params=params, extras=extras), folder)
    return load(folder)


def pipeline(task: str, folder: Path, **options: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.pipeline(task, model=str(folder), tokenizer=str(folder), **options)


def test_classify(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = exported(tokenizer, tmp_path, "sequence_classification", ("bad", "fair", "good"))
    found = model.classify(TEXTS)
    for one, theirs in zip(found, pipeline("text-classification", tmp_path, top_k=None)(TEXTS), strict=True):
        assert one.probabilities == pytest.approx({each["label"]: each["score"] for each in theirs}, abs=TOLERANCE)
        assert one.label == theirs[0]["label"]
    assert {one.label for one in found} <= {"bad", "fair", "good"}
    alone = model.classify(TEXTS[0])
    assert alone.probabilities == pytest.approx(found[0].probabilities, abs=TOLERANCE)
    paired = model.classify(TEXTS[:1], TEXTS[1:])
    theirs = pipeline("text-classification", tmp_path)({"text": TEXTS[0], "text_pair": TEXTS[1]})
    assert paired[0].probabilities[theirs["label"]] == pytest.approx(theirs["score"], abs=TOLERANCE)
    assert abs(max(found[0].probabilities.values()) - 1 / 3) > 0.05


def test_tag(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = exported(tokenizer, tmp_path, "token_classification", TAGS)
    text = " ".join(TEXTS)
    found = model.tag(text)
    assert found.words == tuple(text.split())
    theirs = pipeline("token-classification", tmp_path, aggregation_strategy="none", ignore_labels=[])(text)
    at = 0
    for word, tag, probability in zip(found.words, found.tags, found.probabilities, strict=True):
        at = text.index(word, at)
        first = next(each for each in theirs if each["start"] >= at - 1)  # a piece may begin with the blank before it
        assert (tag, probability) == (first["entity"], pytest.approx(first["score"], abs=TOLERANCE))
        at += len(word)
    assert len(set(found.tags)) > 1
    assert found.entities
    for entity in found.entities:
        assert text[entity.start : entity.end] == entity.text
        assert entity.text.split() == list(found.words[entity.first : entity.last])
        assert entity.kind == "PER"
    assert model.tag(text.split()).tags == found.tags
    assert [one.tags for one in model.tag([TEXTS[0].split(), TEXTS[1].split()])] == [
        one.tags for one in map(model.tag, TEXTS)
    ]


def test_answer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = exported(tokenizer, tmp_path, "question_answering")
    question, context = "the actor was poor", "the story was fine and the film rather a lovely scene it very"
    found = model.answer(question, context)
    theirs = pipeline("question-answering", tmp_path)(
        question=question, context=context, align_to_words=False, max_answer_len=30
    )
    answer = context[theirs["start"] : theirs["end"]]  # which may begin with a blank
    assert (found.start, found.end) == (theirs["end"] - len(answer.lstrip()), theirs["end"])
    assert found.text == context[found.start : found.end] == answer.strip()
    assert found.score == pytest.approx(theirs["score"], rel=1e-3)
    assert model.answer([question, "a plot"], context)[0].text == found.text


def test_fill_mask(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = exported(tokenizer, tmp_path, "token")
    [found] = model.fill_mask("the [MASK] was good", top_k=3)
    mask = tokenizer.special_names[tokenizer.vocabulary.mask]
    theirs = pipeline("fill-mask", tmp_path, top_k=10)(f"the {mask} was good")
    scores = {each["token_str"].strip(): each["score"] for each in theirs}
    for candidate in found:
        assert candidate.probability == pytest.approx(scores[candidate.token.strip()], abs=TOLERANCE)
    assert len(model.fill_mask(["a [MASK]", "[MASK] <mask>"])[1]) == 2
