"""A released discriminator of DeBERTa v3: its heads are read, and give what the released code gives."""

import json
from pathlib import Path

import numpy as np
import pytest

from plmjax.interop import load_huggingface, save_huggingface
from plmjax.interop.pretrained import Pretrained
from tests.interop.case import VOCABULARY
from tests.interop.cases.deberta import V2

pytest.importorskip("torch")
pytest.importorskip("transformers")

WIDTH = V2["hidden_size"]
# The tensors of microsoft/deberta-v3-base's pytorch_model.bin beside the trunk's, by name and shape.
HEADS = {
    "lm_predictions.lm_head.dense.weight": (WIDTH, WIDTH),
    "lm_predictions.lm_head.dense.bias": (WIDTH,),
    "lm_predictions.lm_head.LayerNorm.weight": (WIDTH,),
    "lm_predictions.lm_head.LayerNorm.bias": (WIDTH,),
    "lm_predictions.lm_head.bias": (VOCABULARY,),
    "mask_predictions.dense.weight": (WIDTH, WIDTH),
    "mask_predictions.dense.bias": (WIDTH,),
    "mask_predictions.LayerNorm.weight": (WIDTH,),
    "mask_predictions.LayerNorm.bias": (WIDTH,),
    "mask_predictions.classifier.weight": (1, WIDTH),
    "mask_predictions.classifier.bias": (1,),
}


def released_logits(tensors, states):
    """LMMaskPredictionHead.forward in plain NumPy (microsoft/DeBERTa, replaced_token_detection_model.py:38-46)."""
    from scipy.special import erf

    p = {name.removeprefix("mask_predictions."): value.astype(np.float64) for name, value in tensors.items()}
    x = states[:, :1] + states
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-7)
    x = x * p["LayerNorm.weight"] + p["LayerNorm.bias"]
    x = x @ p["dense.weight"].T + p["dense.bias"]
    x = 0.5 * x * (1 + erf(x / np.sqrt(2)))
    return (x @ p["classifier.weight"].T + p["classifier.bias"])[..., 0]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory):
    """(directory, tensors, the trunk of transformers) with random numbers under the released names."""
    import torch
    from safetensors.numpy import save_file
    from transformers import DebertaV2Config, DebertaV2Model

    torch.manual_seed(0)
    model = DebertaV2Model(DebertaV2Config(**V2)).eval()
    rng = np.random.default_rng(0)
    tensors = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in HEADS.items()}
    tensors |= {f"deberta.{name}": value.numpy() for name, value in model.state_dict().items()}
    table = tensors["deberta.embeddings.word_embeddings.weight"]
    tensors["deberta.embeddings.word_embeddings._weight"] = np.zeros_like(table)
    tensors["deberta.embeddings.position_embeddings._weight"] = np.zeros((17, WIDTH), np.float32)
    folder = tmp_path_factory.mktemp("released")
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "deberta-v2", "layer_norm_eps": 1e-7} | V2))
    return folder, tensors, model


def given() -> dict[str, np.ndarray]:
    tokens = np.random.default_rng(1).integers(3, VOCABULARY, (2, 9))
    return {"input_ids": tokens, "attention_mask": np.array([[1] * 9, [1] * 6 + [0] * 3])}


def check(network: Pretrained, tensors, model) -> None:
    import torch

    inputs = given()
    with torch.no_grad():
        states = model(**{name: torch.tensor(value) for name, value in inputs.items()}).last_hidden_state.numpy()
    expected = released_logits({k: v for k, v in tensors.items() if k.startswith("mask_")}, states.astype(np.float64))
    found = network(**inputs)
    real = inputs["attention_mask"] > 0
    np.testing.assert_allclose(found["replaced_token_logits"][real], expected[real], atol=1e-4)
    assert found["logits"].shape == (2, 9, VOCABULARY)


def test_detection_of_a_released_discriminator(released) -> None:
    folder, tensors, model = released
    network = load_huggingface(folder)
    assert network.config.heads == ("token", "replaced_token_detection") and network.config.detection_head == "context"
    check(network, tensors, model)


def test_its_heads_are_written_under_the_released_names(released, tmp_path: Path) -> None:
    folder, tensors, model = released
    save_huggingface(load_huggingface(folder), tmp_path)
    check(load_huggingface(tmp_path), tensors, model)
