"""Each family of plmjax.modules is saved, loaded, fine-tuned, generated from, and written for transformers or refused.

A network needs no file in interop for all but the last. Steps are differentiated and generation is computed with few
compilations: networks have one layer, and what families with a class of transformers do in these is tested elsewhere.
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import plmjax
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.finetune.backbones import backbone_of
from plmjax.finetune.features import make_batch
from plmjax.finetune.network import limits_of, network_config
from plmjax.finetune.task_models import make_task_model
from plmjax.interop import load_huggingface, save, save_huggingface
from plmjax.interop.pretrained import Pretrained
from plmjax.interop.registry import BY_CLASS, architecture_of
from plmjax.interop.weight_map import flatten
from plmjax.modules import FAMILIES, Bound, build
from plmjax.tasks.classification import ClassificationTask
from tests.finetune.kit import recipe, tokenizer_in, write_jsonl
from tests.finetune.text_kit import copying

# An ELMo is loaded by load_bilm; a BART under a new encoder and an ELMo under a task are made by fine-tuning.
OWN_WAY = ("elmo", "elmo_task", "bart_translation")
NETWORKS = [name for name in FAMILIES if name not in OWN_WAY]
NATIVE = ["bart_lm", "bert_two_stream", "gpt3", "lamda", "t5_lm", "t5_prefix_lm", "t5_shared"]  # no class holds them
UNREAD = {"modernbert": {"encoder/layers/attention_norm/scale"}}  # which its first layer does without
LOST = {"deberta": {"embeddings/positions/embedding"}}  # of the enhanced mask decoder, which has no class
NOT_FINE_TUNED = ("transformer_xl",)  # it has no class head, and its softmax is in several tables


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_in(str(tmp_path_factory.mktemp("tokenizer")), ("en_XX", "de_DE"))


def tiny(name: str, tokenizer: Tokenizer) -> Pretrained:
    """A network of one layer and random parameters, nothing compiled."""
    config: Any = FAMILIES[name].variants["tiny"]
    sizes = {"num_layers": 1, "num_decoder_layers": 1, "vocab_size": tokenizer.vocabulary.size, "unroll": False}
    if name == "xlm":  # whose feed-forward layers are four times as wide in transformers
        sizes["d_ff"] = 4 * config.d_model
    known = {field.name for field in fields(config)}
    config = replace(config, **{key: value for key, value in sizes.items() if key in known})
    shapes = jax.eval_shape(lambda: build(config).init(jax.random.key(0))["params"])
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.05, leaf.shape).astype(np.float32), shapes)
    architecture = architecture_of(config)
    return Pretrained(config, params, architecture, tokenizer, BY_CLASS[architecture].special_of(tokenizer))


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_saved_is_loaded(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    network = tiny(name, tokenizer)
    save(network, tmp_path)
    again = plmjax.load(tmp_path)
    assert (again.config, again.architecture, again.special) == (network.config, network.architecture, network.special)
    jax.tree.map(np.testing.assert_array_equal, again.params, network.params)


def task_and_backbone(network: Pretrained, folder: Path, given: Any) -> tuple[Any, Any]:
    """A task of labels where the network has heads, else one of writing."""
    labels = write_jsonl(folder / "labels.jsonl", [{"text": "a good film", "label": label} for label in ("no", "yes")])
    task = ClassificationTask(train=str(labels))
    try:
        return task, backbone_of(network, task, given)
    except UserError:
        task = copying(folder)
        return task, backbone_of(network, task, given)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in NOT_FINE_TUNED])
def test_a_step_of_fine_tuning(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Every parameter has a gradient of its shape; where no class of transformers holds the network, it is finite."""
    network, given = tiny(name, tokenizer), recipe()
    given.seq2seq.source_language = given.seq2seq.target_language = "en_XX" if name == "mbart" else ""
    task, backbone = task_and_backbone(network, tmp_path, given)
    examples = task.splits()["train"]
    task_model = make_task_model(task, backbone, limits_of(network.config, given), given)
    task_model.prepare({"train": examples})
    module = build(network_config(network.config, task_model, given))
    batch = make_batch(task_model.features(examples[:2], learn=True), 2, 16, task_model.padding)

    def loss(params: Any) -> Any:
        losses, _, _ = task_model.forward(Bound(module, params), batch, train=True)
        return sum(one.mean() for one in losses.values())

    fresh = jax.eval_shape(lambda: module.init(jax.random.key(0))["params"])
    shapes = jax.eval_shape(jax.grad(loss), fresh)
    assert jax.tree.map(lambda leaf: leaf.shape, shapes) == jax.tree.map(lambda leaf: leaf.shape, fresh)
    if name in NATIVE:
        rng = np.random.default_rng(1)
        params = jax.tree.map(lambda leaf: rng.normal(0, 0.05, leaf.shape).astype(np.float32), fresh)
        found = jax.device_get(jax.jit(jax.grad(loss))(params))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
        assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(found["embeddings"]))


GENERATING = ("decoder", "encoder_decoder")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in NATIVE else pytest.mark.slow)
        for name in NETWORKS
        if FAMILIES[name].module.kind in GENERATING
    ],
)
def test_it_generates(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    save(tiny(name, tokenizer), tmp_path)
    languages = {"source": "en_XX", "target": "de_DE"} if name == "mbart" else {}
    loaded = plmjax.load(tmp_path)
    assert loaded.generates
    assert isinstance(loaded.generate("the film was", max_new_tokens=2, **languages), str)


@pytest.mark.parametrize("name", NATIVE)
def test_only_writing_it_for_transformers_is_refused(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No class of transformers holds the network of a \w+: it stays a plmjax"):
        save_huggingface(tiny(name, tokenizer), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in NATIVE])
def test_what_is_written_for_transformers_is_read(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    network = tiny(name, tokenizer)
    save_huggingface(replace(network, tokenizer=None), tmp_path)
    again = load_huggingface(tmp_path)
    assert again.architecture == network.architecture
    before, after = flatten(network.params), flatten(again.params)
    lost = set(before) - set(after) - LOST.get(name, set())
    assert lost <= {path for path in before if "_head/" in path}  # a class has some of the heads
    for path in set(after) - UNREAD.get(name, set()):
        np.testing.assert_array_equal(after[path], before[path], err_msg=path)


def test_forward_of_networks_without_a_class(tokenizer: Tokenizer) -> None:
    """An encoder's scores beside those of the module itself."""
    network = tiny("bert_two_stream", tokenizer)
    tokens = np.array([[5, 6, 7, 8], [9, 10, 11, 0]], np.int32)
    mask = (tokens > 0).astype(np.int32)
    states = Bound(network.module, network.params).encode(tokens, None, None, mask)
    expected = Bound(network.module, network.params).token_logits(states)
    np.testing.assert_allclose(network(input_ids=tokens, attention_mask=mask)["logits"], expected, atol=1e-5)


def test_a_checkpoint_written_before_is_read(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Decoders without a class of transformers were of the class UnnamedLMHeadModel."""
    save(replace(tiny("lamda", tokenizer), architecture="UnnamedLMHeadModel"), tmp_path)
    assert plmjax.load(tmp_path).generates
