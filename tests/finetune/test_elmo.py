"""ELMo's vectors as features: what is read, what moves, and that the same vectors come out as of the biLM alone."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plmjax
from plmjax.checkpoints.checkpointer import load_params
from plmjax.checkpoints.serialize import to_json
from plmjax.data.tokenizers.words import ROLES, WordTokenizer
from plmjax.errors import UserError
from plmjax.finetune.backbones import make_backbone
from plmjax.finetune.config import FineTune
from plmjax.finetune.features import make_batch
from plmjax.finetune.loop import finetune
from plmjax.finetune.network import filler, limits_of
from plmjax.finetune.task_models import make_task_model
from plmjax.finetune.update_strategies import HeadsOnly
from plmjax.interop import Pretrained
from plmjax.interop.bilm import Bilm, load_bilm
from plmjax.interop.native import load_for_task
from plmjax.interop.native_only import ELMO
from plmjax.interop.weight_map import flatten
from plmjax.modules import Bound, build
from plmjax.modules.elmo import VARIANTS
from plmjax.modules.elmo_task import bilm_config, task_config
from plmjax.pipelines import Model
from tests.finetune.kit import recipe, task_model_of
from tests.finetune.test_loop import make_task
from tests.finetune.test_task_models import tasks

SPLITTER = WordTokenizer(list(ROLES.values()), 3, "words")


def given(**changes: Any) -> FineTune:
    """With a small network above."""
    found = recipe(**changes)
    found.features.cells = 12
    found.update_strategy = HeadsOnly()
    return found


@pytest.fixture(scope="module")
def elmo() -> Pretrained:
    """A biLM of random parameters, large enough for its vectors to tell words apart."""
    config = replace(task_config(VARIANTS["tiny"]), unroll=False)
    shapes = jax.eval_shape(build(bilm_config(config)).init, jax.random.key(0))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    return Pretrained(config, params, ELMO, SPLITTER)


@pytest.mark.parametrize("kind", ["token_classification", pytest.param("classification", marks=pytest.mark.slow)])
def test_vectors_are_the_bilms_and_padding_counts_for_nothing(kind: str, elmo: Pretrained, tmp_path: Path) -> None:
    task = tasks(tmp_path)[kind]
    if kind == "classification":
        task.pair = ""
    examples = task.splits()["train"]
    task_model, bound = task_model_of(elmo, task, given())
    features = task_model.features(examples, learn=True)
    params, fresh, _ = filler(elmo, task_model.backbone)(bound.params)
    assert {"mix_weights", "mix_gamma"} < set(fresh) and not any("encoder/" in name for name in fresh)
    longest = max(feature.length for feature in features)
    batch, wide = (make_batch(features, 4, length, task_model.padding) for length in (longest, longest + 5))
    words = [SPLITTER.words(example.texts[0]) if kind == "classification" else example.texts for example in examples]
    assert longest == max(map(len, words)) + 2
    table = task_model.backbone.tokenizer.spelled(elmo.config.characters)  # type: ignore[attr-defined]
    embed = jax.jit(lambda characters: Bound(bound.module, params).embed(characters)[0])
    layers = embed(jnp.asarray(table[batch["tokens"].reshape(4, -1)]))
    alone, _ = Bilm(bilm_config(elmo.config), elmo.params).embed(words)
    for row, sentence in enumerate(words):
        np.testing.assert_allclose(layers[:, row, 1 : len(sentence) + 1], alone[row], atol=1e-5)

    forward = jax.jit(lambda params, batch: task_model.forward(Bound(bound.module, params), batch, False))
    (losses, _, outputs), (others, _, again) = forward(params, batch), forward(params, wide)
    assert losses["task"].mean() == pytest.approx(float(others["task"].mean()), rel=1e-5)
    assert float(losses["mix"].mean()) == 0.0 and task_model.coefficients() == {"mix": 0.001}
    for name, output in outputs.items():
        np.testing.assert_allclose(output, np.asarray(again[name])[..., : output.shape[-1]], atol=1e-5)
    heavy = params | {"mix_weights": jnp.asarray([1.0, 2.0, -1.0])}
    assert forward(heavy, batch)[0]["mix"].mean() == pytest.approx(6.0)


def test_a_text_and_two(elmo: Pretrained, tmp_path: Path) -> None:
    task_model = bare_way(elmo, tasks(tmp_path)["classification"])
    features = task_model.features(task_model.task.splits()["train"][:1], learn=True)
    named = [task_model.backbone.tokenizer.piece(token) for token in features[0].sequences["tokens"][0]]
    assert named == ["<S>", "a", "good", "film", "</S>", "<S>", "it", "was", "</S>"]
    # A mark's name is a word, and is cut as one.
    assert task_model.backbone.tokenizer.encode_batch(["<S> don't"])[0][1] != 1


def bare_way(elmo: Pretrained, task: Any) -> Any:
    """Without a network."""
    return make_task_model(task, make_backbone(elmo, given()), limits_of(elmo.config, given()), given())


def test_a_tagged_word_is_one_word(elmo: Pretrained, tmp_path: Path) -> None:
    task_model = bare_way(elmo, tasks(tmp_path)["token_classification"])
    example = replace(task_model.task.splits()["train"][0], texts=("don't", "U.S.-led", "it", "film"))
    (feature,) = task_model.features([example], learn=True)
    assert feature.length == 6 and feature.origin.tolist() == [1, 2, 3, 4]


def test_answers_are_refused(elmo: Pretrained, tmp_path: Path) -> None:
    task_model = bare_way(elmo, tasks(tmp_path)["question_answering"])
    with pytest.raises(UserError, match="has no offsets of its tokens in a text"):
        task_model.features(task_model.task.splits()["train"], learn=True)


@pytest.fixture(scope="module")
def run(elmo: Pretrained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of three steps."""
    folder = tmp_path_factory.mktemp("elmo")
    finetune(elmo, make_task(folder), given(steps=3, buckets=1), folder / "run", devices=jax.devices()[:1])
    return folder / "run"


def test_only_what_is_above_moves(elmo: Pretrained, run: Path) -> None:
    bilm, again = load_bilm(run), load_for_task(run)
    jax.tree.map(np.testing.assert_array_equal, bilm.params, elmo.params)
    jax.tree.map(np.testing.assert_array_equal, again.params, elmo.params)
    whole, _ = load_params(run)
    assert np.any(whole["mix_weights"]) and np.any(whole["class_head"]["bias"])
    assert replace(bilm.config, dropout=0.0) == replace(bilm_config(elmo.config), dropout=0.0)
    assert again.tokenizer is not None and again.tokenizer.fingerprint == SPLITTER.fingerprint


def test_the_folder_classifies_strings(run: Path, tmp_path: Path) -> None:
    """As in evaluation; words that come up later are read too."""
    model = plmjax.load(run)
    lines = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    texts = [example.texts[0] for example in make_task(tmp_path).splits()["validation"]]
    known = [line["probabilities"] for line in lines if line["split"] == "validation"]
    alone = model.classify("words of another kind")  # with which the program is made
    found = model.classify(texts[:4])
    for one, probabilities in zip(found, known, strict=False):
        assert one.probabilities == pytest.approx(probabilities, abs=1e-5)
    assert model.classify(["words of another kind", texts[0]])[0].probabilities == pytest.approx(alone.probabilities)
    model.classify("nothing like it anywhere")
    later = "nothing like it elsewhere"  # of as many words, one of which the program made by then has not seen
    expected = plmjax.load(run).classify(later).probabilities
    assert model.classify(later).probabilities == pytest.approx(expected, abs=1e-6)
    assert alone.probabilities != pytest.approx(expected, abs=1e-5)
    with pytest.raises(UserError, match="a ElmoUnderTask, can't tag words: its methods on strings are classify"):
        model.tag("a film")
    with pytest.raises(UserError, match="reads words as characters and has no tokens"):
        model(input_ids=[[1]])
    with pytest.raises(UserError, match="No class of transformers holds the network of a ElmoTaskConfig"):
        plmjax.save_huggingface(model, tmp_path / "exported")


@pytest.mark.parametrize("chained", [False, True])
def test_an_elmo_tags_strings(chained: bool, elmo: Pretrained, tmp_path: Path) -> None:
    task = tasks(tmp_path)["token_classification"]
    example = task.splits()["train"][0]
    recipe_ = replace(given(), task_model="crf_token_classification" if chained else "")
    task_model, bound = task_model_of(elmo, task, recipe_)
    params, _, _ = filler(elmo, task_model.backbone)(bound.params)
    metadata = {"task": to_json(task), "recipe": to_json(recipe_)}
    model = Model(bound.module.config, jax.tree.map(np.asarray, params), ELMO, SPLITTER, task_metadata=metadata)
    model.tag("Something else first")
    found = model.tag(" ".join(example.texts))
    (feature,) = task_model.features([example], learn=False)
    batch = make_batch([feature], 1, 32, task_model.padding)
    forward = jax.jit(lambda params, batch: task_model.forward(Bound(bound.module, params), batch, False)[2])
    output = jax.device_get(forward(params, batch))
    assert found.words == example.texts
    assert found.probabilities == pytest.approx(output["probabilities"][0][feature.origin].tolist(), abs=1e-5)
    assert list(found.tags) == task_model.predictions([example], [feature], [{k: v[0] for k, v in output.items()}])[0]


def test_the_gradient_is_of_what_is_above(elmo: Pretrained, tmp_path: Path) -> None:
    task = tasks(tmp_path)["classification"]
    examples = task.splits()["train"]
    task_model, bound = task_model_of(elmo, task, given())
    batch = make_batch(task_model.features(examples, learn=True), 3, 12, task_model.padding)

    def loss(params: Any) -> jax.Array:
        losses, _ = task_model.losses(Bound(bound.module, params), batch, None, True)
        return losses["task"].mean()

    gradient = flatten(jax.device_get(jax.jit(jax.grad(loss))(bound.params)))
    moving = {path for path, leaf in gradient.items() if np.any(leaf)}
    assert {"mix_weights", "mix_gamma", "class_head/kernel", "task/inward/kernel"} <= moving
    assert not any(path.startswith(("embeddings/", "encoder/")) for path in moving)


def test_a_chain_of_tags(elmo: Pretrained, tmp_path: Path) -> None:
    """Its loss is the mean over sentences, and a filled-up row is none of them; each part of it has a gradient."""
    task = tasks(tmp_path)["token_classification"]
    examples = task.splits()["train"]
    task_model, bound = task_model_of(elmo, task, replace(given(), task_model="crf_token_classification"))
    features = task_model.features(examples, learn=True)

    def loss(params: Any, batch: Any) -> jax.Array:
        return task_model.losses(Bound(bound.module, params), batch, None, True)[0]["task"].mean()

    learn = jax.jit(jax.value_and_grad(loss))
    full, filled = (make_batch(features, len(features) + more, 12, task_model.padding) for more in (0, 2))
    value, gradient = learn(bound.params, full)
    assert float(value) == pytest.approx(float(learn(bound.params, filled)[0]), rel=1e-6)
    words = sum(len(example.texts) for example in examples) / len(examples)
    assert float(value) == pytest.approx(words * np.log(len(task.labels)), rel=0.5)  # nothing is known yet
    flat = flatten(jax.device_get(gradient))
    assert all(np.any(flat[f"chain_head/{name}"]) for name in ("steps", "first", "last"))
    assert np.any(flat["tag_head/kernel"])


def test_only_an_elmo_chains_tags(encoder: Pretrained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="A BertConfig has no CRF head: use an ELMo, or leave task_model empty"):
        task_model_of(
            encoder, tasks(tmp_path)["token_classification"], replace(given(), task_model="crf_token_classification")
        )


@pytest.mark.slow
def test_it_learns(elmo: Pretrained, tmp_path: Path) -> None:
    """What it is shown: random vectors say too little of other sentences."""
    task, slow = make_task(tmp_path), given(steps=350, batch_size=90, eval_every=350, buckets=1)
    task.validation, task.test = task.train, ()
    slow.optimizer.learning_rate, slow.optimizer.schedule, slow.dropout = 1e-2, "constant", 0.0
    found = finetune(elmo, task, slow, tmp_path / "run", devices=jax.devices()[:1])
    assert found.best.scores["validation"]["accuracy"] > 0.9
