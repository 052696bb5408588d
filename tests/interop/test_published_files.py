"""Checkpoints as people have them: tensors that nothing reads, nulls, tokenizers of other classes or sizes, NaN."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.interop import load_huggingface, save_huggingface
from plmjax.interop.registry import FAMILIES
from plmjax.interop.tensors import read_tensors, write_tensors
from plmjax.modules.bart import BartConfig, MarianConfig, MBartConfig
from plmjax.modules.bert import BertConfig
from plmjax.modules.gpt import GPTConfig
from plmjax.modules.t5 import T5Config
from tests.interop.test_files import assert_same_params, change_config, fresh

SIZES: dict[str, Any] = {"vocab_size": 37, "num_layers": 2, "num_heads": 2, "d_model": 12, "d_ff": 14}
BERT = BertConfig(**SIZES, max_positions=9, heads=("token",))
GPT = GPTConfig(**SIZES, max_positions=9)
T5 = T5Config(**SIZES, num_decoder_layers=1, d_kv=5)
WRITES = {
    "BartForConditionalGeneration": BartConfig,
    "MBartForConditionalGeneration": MBartConfig,
    "MarianMTModel": MarianConfig,
}
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "the", "cat", "##at"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bert")
    save_huggingface(fresh(BERT, "BertForMaskedLM", pad_token_id=0), directory)
    return directory


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert, tmp_path / "copy"))


@pytest.mark.parametrize("architecture", WRITES)
@pytest.mark.parametrize("prefix", ["", "model."])
def test_versions_of_a_layout_are_left_alone(architecture: str, prefix: str, tmp_path: Path) -> None:
    """facebook/bart-large holds encoder.version and decoder.version."""
    heads = ("token",)
    source = fresh(WRITES[architecture](**SIZES, num_decoder_layers=1, max_positions=9, heads=heads), architecture)
    save_huggingface(source, tmp_path)
    more = {f"{prefix}{side}.version": np.array([3.0], np.float32) for side in ("encoder", "decoder")}
    write_tensors(read_tensors(tmp_path) | more, tmp_path)
    assert_same_params(source, load_huggingface(tmp_path))


@pytest.mark.parametrize(
    ("config", "architecture"),
    [(BERT, "BertForMaskedLM"), (GPT, "GPT2LMHeadModel"), (T5, "T5ForConditionalGeneration")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_null_is_the_default_of_the_class(config: Any, architecture: str, tmp_path: Path) -> None:
    save_huggingface(fresh(config, architecture, pad_token_id=0), tmp_path)
    plain = load_huggingface(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    sizes = {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"}
    sizes |= {"n_layer", "n_head", "n_embd", "n_positions", "n_inner", "max_position_embeddings", "type_vocab_size"}
    sizes |= {"num_layers", "num_decoder_layers", "num_heads", "d_model", "d_kv", "d_ff", "feed_forward_proj"}
    sizes |= {"architectures", "model_type", "hidden_act", "activation_function", "relative_attention_num_buckets"}
    change_config(tmp_path, **{name: ... for name in content if name not in sizes})
    missing = load_huggingface(tmp_path)
    change_config(tmp_path, **{name: None for name in content if name not in sizes})
    null = load_huggingface(tmp_path)
    assert null.config == missing.config and type(null.config) is type(plain.config)
    assert_same_params(null, plain)


def test_null_that_means_something_keeps_its_meaning() -> None:
    modernbert, xlnet = FAMILIES["modernbert"], FAMILIES["xlnet"]
    assert "local_rope_theta" in modernbert.null_fields and "summary_activation" in xlnet.null_fields
    config = modernbert.read_config({"local_rope_theta": None, "global_rope_theta": 7.0, "architectures": []}, set())
    assert config.local_rope_theta == 7.0
    with pytest.raises(UserError, match="summary_activation = None"):
        xlnet.read_config({"summary_activation": None}, {"sequence_summary.summary.weight", "logits_proj.weight"})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["bert.embeddings.word_embeddings.weight", "bert.encoder.layer.1.output.dense.bias"])
def test_weights_that_are_not_finite(copy: Path, name: str, value: float) -> None:
    tensors = {key: np.array(tensor) for key, tensor in read_tensors(copy).items()}
    tensors[name].flat[3] = value
    write_tensors(tensors, copy)
    with pytest.raises(
        UserError, match=rf"The tensor {name.removeprefix('bert.')} in .* holds NaN or infinite numbers"
    ):
        load_huggingface(copy)


def test_weights_that_sum_to_infinity_are_finite(copy: Path) -> None:
    tensors = {key: np.array(tensor) for key, tensor in read_tensors(copy).items()}
    tensors["bert.embeddings.LayerNorm.weight"][:] = np.finfo(np.float32).max
    write_tensors(tensors, copy)
    load_huggingface(copy)


def test_a_tokenizer_with_more_ids_than_the_table_has_rows(copy: Path) -> None:
    (copy / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    tokenizer = load_huggingface(copy).tokenizer
    assert tokenizer is not None and tokenizer.vocabulary.size == len(PIECES) == 34
    names = [f"[E{number}]" for number in range(4)]
    (copy / "added_tokens.json").write_text(json.dumps({name: 34 + number for number, name in enumerate(names)}))
    (copy / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": names}))
    with pytest.raises(UserError, match=r"has a tokenizer of 38 ids \(\[E3\]\) and an embedding table of 37 rows"):
        load_huggingface(copy)
    (copy / "added_tokens.json").unlink()
    (copy / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": names[:3]}))
    tokenizer = load_huggingface(copy).tokenizer
    assert tokenizer is not None and tokenizer.vocabulary.size == 37


@pytest.mark.parametrize("name", ["BertJapaneseTokenizer", "HerbertTokenizer", "FlaubertTokenizer", "MyTokenizer"])
def test_weights_load_without_a_tokenizer_of_another_class(copy: Path, name: str, caplog: Any) -> None:
    (copy / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    (copy / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    with caplog.at_level(logging.WARNING):
        loaded = load_huggingface(copy)
    assert loaded.tokenizer is None and f"the class {name}, which plmjax does not read" in caplog.text
