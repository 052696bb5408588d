"""Each kind of checkpoint on strings, and its refusals."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

import plmjax
from plmjax.checkpoints.serialize import to_json
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.decode import GenerationConfig
from plmjax.errors import UserError
from plmjax.finetune.features import make_batch
from plmjax.finetune.network import manifest_of
from plmjax.interop import Pretrained
from plmjax.interop.registry import architecture_of
from plmjax.modules import Bound
from plmjax.pipelines import Model
from plmjax.pipelines.predict import _chosen, _labelled
from plmjax.pipelines.predictor import PredictedExample
from plmjax.tasks.classification import ClassificationTask
from plmjax.tasks.multiple_choice import MultipleChoiceTask
from plmjax.tasks.supervised import Example
from tests.finetune.kit import checkpoint, recipe, task_model_of


@pytest.fixture(scope="module")
def decoder(tokenizer: Tokenizer) -> Model:
    return Model.of(checkpoint(tokenizer, "gpt"))


def fine_tuned(base: Pretrained, task: Any, texts: tuple[str, ...] = ("a good film",)) -> tuple[Model, np.ndarray]:
    """A network with fresh heads as a fine-tuned folder gives it, and its logits of a text."""
    task_model, bound = task_model_of(base, task)
    manifest = manifest_of(base, bound.module.config, recipe(), task_model, {})
    found = Model(
        bound.module.config,
        jax.tree.map(np.asarray, bound.params),
        manifest["huggingface"]["architecture"],
        base.tokenizer,
        extras=manifest["huggingface"]["extras"],
        task_metadata={"task": to_json(task), "recipe": to_json(recipe())},
    )
    features = task_model.features([Example("", "", texts, None)], learn=False)
    batch = make_batch(features, 1, features[0].length, task_model.padding)
    forward = jax.jit(lambda params, batch: task_model.forward(Bound(bound.module, params), batch, train=False)[2])
    return found, np.asarray(forward(bound.params, batch)["logits"][0])


@pytest.mark.parametrize(
    ("family", "variant"), [pytest.param("xlnet", "tiny", marks=pytest.mark.slow), ("gpt", "gpt1_tiny")]
)
def test_classify_reads_as_fine_tuning_does(tokenizer: Tokenizer, family: str, variant: str) -> None:
    """GPT's new tokens stand at the end of its table, and XLNet's class token at the end of a row."""
    model, logits = fine_tuned(checkpoint(tokenizer, family, variant), ClassificationTask(labels=("bad", "good")))
    found = model.classify("a good film")
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert list(found.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert model.classify(["a good film"] * 3)[2].probabilities == pytest.approx(found.probabilities, abs=1e-5)
    wrong = f"a {model.architecture}, can't tag words: its methods on strings are classify"
    with pytest.raises(UserError, match=wrong):
        model.tag("a good film")


def test_choose_reads_as_fine_tuning_does(tokenizer: Tokenizer) -> None:
    task = MultipleChoiceTask(count=3)
    model, logits = fine_tuned(checkpoint(tokenizer), task, ("the film was", "good", "very dull", "it"))
    choices = ["good", "very dull", "it"]
    found = model.choose("the film was", choices)
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert found.probabilities == pytest.approx(expected.tolist(), abs=1e-5)
    assert (found.number, found.text) == (int(logits.argmax()), choices[int(logits.argmax())])
    both = model.choose(["the film was", "a plot"], [choices, ["was", "a", "the"]])
    assert both[0].probabilities == pytest.approx(found.probabilities, abs=1e-5) and both[1].text in ("was", "a", "the")
    with pytest.raises(UserError, match="Text 1 has 2 choices: this network takes 3"):
        model.choose("a", ["b", "c"])
    with pytest.raises(UserError, match="There are 2 contexts and 1 lists of choices"):
        model.choose(["a", "b"], [["c", "d", "e"]])
    with pytest.raises(UserError, match="can't tag words: its methods on strings are choose"):
        model.tag("a")


def test_what_is_written_has_no_probability() -> None:
    predictor: Any = SimpleNamespace(generates_text=True, task=ClassificationTask(labels=("bad", "good")))
    assert _labelled(predictor, PredictedExample(np.array([0.0, 1.0]), [])) == ("good", {})
    assert _chosen(predictor, ["a", "b"], np.array([1.0, 0.0])) == ("a", 0, ())
    assert _chosen(predictor, ["a", "b"], np.array([np.nan, np.nan])) == (None, -1, ())


def test_generate_takes_strings_of_all_lengths(decoder: Model, tokenizer: Tokenizer) -> None:
    texts = ["a good film", "the plot was very very dull and it was"]
    found = decoder.generate(texts, max_new_tokens=6)
    for text, more in zip(texts, found, strict=True):
        assert decoder.generate(text, max_new_tokens=6) == more
        ids = tokenizer.encode(text)
        whole = decoder.generate([ids], max_new_tokens=6)[0].tolist()
        assert whole[: len(ids)] == ids
        assert tokenizer.decode(whole).endswith(more.strip())
    assert any(more.strip() for more in found)
    several = decoder.generate(texts, max_new_tokens=4, num_beams=2, num_return_sequences=2)
    assert [len(one) for one in several] == [2, 2]


def test_settings_come_as_a_config_or_by_name(decoder: Model, tokenizer: Tokenizer) -> None:
    config = GenerationConfig(max_new_tokens=6, num_beams=2)
    expected = decoder.generate("a good film", max_new_tokens=6, num_beams=2)
    assert decoder.generate("a good film", generation_config=config) == expected
    assert decoder.generate("a good film", generation_config=config, num_beams=1) == "".join(
        decoder.stream("a good film", max_new_tokens=6)
    )
    ids = [tokenizer.encode("a good film")]
    with_config = decoder.generate(ids, None, config)
    np.testing.assert_array_equal(with_config, decoder.generate(ids, max_new_tokens=6, num_beams=2))
    told = replace(decoder, generation={"num_beams": 2, "max_new_tokens": 6})
    np.testing.assert_array_equal(told.generate(ids), with_config)
    np.testing.assert_array_equal(told.generate(ids, generation_config=config), with_config)
    for text in ("a good film", ids):
        with pytest.raises(UserError, match="Generation has no setting 'typical_p'"):
            decoder.generate(text, typical_p=0.5)


def test_what_a_checkpoint_cannot_do(decoder: Model, tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="a GPT2LMHeadModel, can't classify texts: its methods on strings are generate"):
        decoder.classify("a good film")
    with pytest.raises(UserError, match="can't fill masks"):
        decoder.fill_mask("a [MASK]")
    with pytest.raises(UserError, match="no tokenizer"):
        replace(decoder, tokenizer=None).generate("a")
    with pytest.raises(UserError, match="Text 2 is ' '"):
        decoder.generate(["a", " "])


def test_a_task_says_what_strings_it_takes(tokenizer: Tokenizer) -> None:
    config = checkpoint(tokenizer, heads=("sequence_classification",), num_labels=2).config
    bare = Model(config, {}, architecture_of(config), tokenizer)
    several = replace(bare, extras={"problem_type": "multi_label_classification"})
    with pytest.raises(UserError, match="gives a text several labels"):
        several.classify("a")
    pairs = replace(bare, task_metadata={"task": to_json(ClassificationTask(labels=("a", "b"), pair="second"))})
    with pytest.raises(UserError, match="classifies pairs of texts"):
        pairs.classify("a")
    with pytest.raises(UserError, match="2 texts and 1 pairs"):
        pairs.classify(["a", "b"], ["c"])


def test_a_model_and_the_package_show_what_they_are(decoder: Model) -> None:
    count = sum(leaf.size for leaf in jax.tree.leaves(decoder.params))
    assert repr(decoder) == f"Model(GPT2LMHeadModel: GPT, {count:,} parameters, sentencepiece tokenizer of 300 tokens)"
    assert "no tokenizer" in repr(replace(decoder, tokenizer=None))
    assert {"load", "load_huggingface", "save_huggingface", "Model"} <= set(dir(plmjax)) == set(plmjax.__all__)
    assert plmjax.Model is Model and "model.fill_mask" in str(plmjax.__doc__)
    assert all(hasattr(plmjax, name) for name in plmjax.__all__)
    assert not hasattr(Pretrained, "classify")
