"""Weights in every file format, and one sentence for whatever is wrong with a directory."""

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.interop import Pretrained, load_huggingface, save_huggingface
from plmjax.interop.tensors import read_tensors, write_tensors
from plmjax.interop.torch_pickle import read_state_dict
from plmjax.interop.weight_map import flatten
from plmjax.modules import build
from plmjax.modules.bert import BertConfig
from plmjax.modules.gpt import GPTConfig
from plmjax.modules.t5 import T5Config

BERT = BertConfig(
    vocab_size=37, max_positions=9, num_layers=2, num_heads=2, d_model=12, d_ff=14, heads=("token", "next_sentence")
)
ROBERTA = BertConfig(
    vocab_size=37, max_positions=9, num_layers=2, num_heads=2, d_model=12, d_ff=14, position_offset=2,
    token_type_vocab=0, activation="gelu",
)  # fmt: skip
GPT = GPTConfig(vocab_size=37, max_positions=9, num_layers=2, num_heads=2, d_model=12, d_ff=14)
T5 = T5Config(vocab_size=37, num_layers=2, num_decoder_layers=1, num_heads=2, d_model=12, d_kv=5, d_ff=14)


def fresh(config: Any, architecture: str, **special: int) -> Pretrained:
    """A network whose parameters are random all, without compiling its initialisation."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: build(config).init(jax.random.key(0))["params"])
    params = jax.tree.map(lambda leaf: rng.normal(scale=0.2, size=leaf.shape).astype(np.float32), shapes)
    return Pretrained(config, params, architecture, special=special)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bert")
    save_huggingface(fresh(BERT, "BertForPreTraining", pad_token_id=0), directory)
    return directory


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert, tmp_path / "copy"))


def change_config(directory: Path, **fields: Any) -> None:
    file = directory / "config.json"
    content = json.loads(file.read_text()) | fields
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def assert_same_params(one: Pretrained, other: Pretrained) -> None:
    first, second = flatten(one.params), flatten(other.params)
    assert first.keys() == second.keys()
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path], err_msg=path)


@pytest.mark.parametrize(
    "source",
    [
        fresh(BERT, "BertForPreTraining", pad_token_id=0),
        fresh(GPT, "GPT2LMHeadModel"),
        fresh(T5, "T5ForConditionalGeneration", pad_token_id=0, decoder_start_token_id=0),
    ],
    ids=lambda source: source.architecture,
)
def test_export_then_import_is_exact(source: Pretrained, tmp_path: Path) -> None:
    save_huggingface(source, tmp_path)
    loaded = load_huggingface(tmp_path)
    assert_same_params(source, loaded)
    changes = {name for name in source.config.__slots__ if getattr(source.config, name) != getattr(loaded.config, name)}
    assert changes <= {"init_std", "position_init_std", "residual_init_scale"}


@pytest.mark.parametrize("pad", [0, 3])
def test_roberta_positions_follow_the_padding_token(pad: int, tmp_path: Path) -> None:
    """Their position 0 has the row pad + 1, ours has row 2 whatever the tokenizer's padding is."""
    source = fresh(ROBERTA, "RobertaForMaskedLM", pad_token_id=pad)
    save_huggingface(source, tmp_path)
    loaded = load_huggingface(tmp_path)
    assert loaded.config.position_offset == pad + 1
    inputs = {"input_ids": np.array([[5, 6, 7, 8, pad, pad]]), "attention_mask": np.array([[1, 1, 1, 1, 0, 0]])}
    np.testing.assert_allclose(source(**inputs)["logits"][:, :4], loaded(**inputs)["logits"][:, :4], atol=1e-6)


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("old_format", [False, True])
def test_torch_files(copy: Path, sharded: bool, old_format: bool) -> None:
    torch = pytest.importorskip("torch")
    expected = load_huggingface(copy)
    tensors = {name: torch.tensor(value) for name, value in read_tensors(copy).items()}
    (copy / "model.safetensors").unlink()
    groups = [dict(list(tensors.items())[i::2]) for i in range(2)] if sharded else [tensors]
    names = [f"pytorch_model-{i}.bin" for i in range(2)] if sharded else ["pytorch_model.bin"]
    for name, group in zip(names, groups, strict=True):
        torch.save(group, copy / name, _use_new_zipfile_serialization=not old_format)
    if sharded:
        places = {key: name for name, group in zip(names, groups, strict=True) for key in group}
        (copy / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    assert_same_params(load_huggingface(copy), expected)


@pytest.mark.parametrize("old_format", [False, True])
def test_torch_views_and_dtypes(tmp_path: Path, old_format: bool) -> None:
    torch = pytest.importorskip("torch")
    table = torch.arange(24.0).reshape(4, 6)
    state = {
        "transposed": table.T, "part": table[1:3, ::2], "half": table.half(), "brain": table.bfloat16(),
        "ids": torch.arange(5), "parameter": torch.nn.Parameter(table), "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5),
    }  # fmt: skip
    torch.save(state, tmp_path / "x.bin", _use_new_zipfile_serialization=not old_format)
    read = read_state_dict(tmp_path / "x.bin")
    assert read.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(np.asarray(read[name], np.float64), value.detach().double().numpy(), err_msg=name)


class Hostile:
    """Unpickling it would make a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("old_format", [False, True])
def test_a_pickle_runs_nothing(tmp_path: Path, old_format: bool) -> None:
    torch = pytest.importorskip("torch")
    victim = tmp_path / "made"
    torch.save({"weight": Hostile(victim)}, tmp_path / "x.bin", _use_new_zipfile_serialization=not old_format)
    (tmp_path / "plain.bin").write_bytes(pickle.dumps(Hostile(victim)))
    for name in ("x.bin", "plain.bin"):
        with pytest.raises(UserError, match="not a plain dictionary of tensors"):
            read_state_dict(tmp_path / name)
    assert not victim.exists()


def test_a_tensor_outside_its_storage_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"weight": torch.zeros(1).expand(1 << 40)}, tmp_path / "x.bin")
    with pytest.raises(UserError, match="outside its storage"):
        read_state_dict(tmp_path / "x.bin")


def test_sharded_safetensors(copy: Path) -> None:
    expected, tensors = load_huggingface(copy), list(read_tensors(copy).items())
    places = {}
    for i in range(2):
        write_tensors(dict(tensors[i::2]), copy)
        (copy / "model.safetensors").rename(copy / f"model-{i}.safetensors")
        places |= {name: f"model-{i}.safetensors" for name, _ in tensors[i::2]}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert_same_params(load_huggingface(copy), expected)
    (copy / "model-1.safetensors").unlink()
    with pytest.raises(UserError, match="model-1.safetensors.*not beside it"):
        load_huggingface(copy)


def test_old_names_and_buffers(copy: Path) -> None:
    expected, tensors = load_huggingface(copy), read_tensors(copy)
    old = {re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", name)): value
           for name, value in tensors.items()}  # fmt: skip
    old["bert.embeddings.position_ids"] = np.arange(9)[None]
    old["cls.predictions.decoder.weight"] = old["bert.embeddings.word_embeddings.weight"]
    write_tensors(old, copy)
    assert_same_params(load_huggingface(copy), expected)


@pytest.mark.parametrize("stated", [..., ["BertModel"]])
def test_class_is_chosen_by_the_tensors(copy: Path, stated: Any, caplog: pytest.LogCaptureFixture) -> None:
    change_config(copy, architectures=stated)
    assert load_huggingface(copy).architecture == "BertForPreTraining"
    assert "read as BertForPreTraining" in caplog.text


def test_unknown_fields_of_the_config_survive(copy: Path, tmp_path: Path) -> None:
    change_config(copy, task_specific_params={"x": 1})
    save_huggingface(load_huggingface(copy), tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text())["task_specific_params"] == {"x": 1}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "llama"}, "model_type 'llama'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type = 'relative_key'"),
        ({"hidden_act": "mish"}, "hidden_act = 'mish'"),
        ({"is_decoder": True}, "is_decoder"),
        ({"num_hidden_layers": 3}, "lacks the tensor.*layer.2"),
        ({"num_hidden_layers": 1}, "holds the tensor.*layer.1"),
    ],
)
def test_settings_that_are_not_done_are_refused(copy: Path, fields: dict[str, Any], message: str) -> None:
    change_config(copy, **fields)
    with pytest.raises(UserError, match=message):
        load_huggingface(copy)


@pytest.mark.parametrize(("field", "value"), [("add_cross_attention", True), ("scale_attn_weights", False)])
def test_gpt2_settings_that_are_not_done_are_refused(field: str, value: bool, tmp_path: Path) -> None:
    save_huggingface(fresh(GPT, "GPT2LMHeadModel"), tmp_path)
    change_config(tmp_path, **{field: value})
    with pytest.raises(UserError, match=field):
        load_huggingface(tmp_path)


def test_an_untied_head_is_refused(copy: Path) -> None:
    tensors = read_tensors(copy)
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"] + 1
    write_tensors(tensors, copy)
    with pytest.raises(
        UserError, match="different numbers in embeddings.word_embeddings.weight and cls.predictions.decoder.weight"
    ):
        load_huggingface(copy)


def test_a_tensor_of_another_size_is_refused(copy: Path) -> None:
    change_config(copy, vocab_size=38)
    with pytest.raises(UserError, match=r"word_embeddings.weight.*\[37, 12\].*\[38, 12\]"):
        load_huggingface(copy)


def test_a_directory_without_files(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no config.json"):
        load_huggingface(tmp_path)
    shutil.copy(bert / "config.json", tmp_path)
    with pytest.raises(UserError, match="holds no weights"):
        load_huggingface(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not a header")
    with pytest.raises(UserError, match="can't be read as safetensors"):
        load_huggingface(tmp_path)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "needs the input 'input_ids'"),
        ({"input_ids": [[1, 2]], "labels": [[1, 2]]}, "takes no input 'labels'"),
        ({"input_ids": [[1, 37]]}, "outside 0 to 36"),
        ({"input_ids": [[1] * 10]}, "9 positions"),
        ({"input_ids": [[1, 2]], "attention_mask": [[1, 1, 1]]}, r"\[1, 3\]"),
        ({"input_ids": [[1.0, 2.0]]}, "integers"),
    ],
)
def test_wrong_inputs(bert: Path, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_huggingface(bert)(**inputs)
