"""Labels become the decoder's inputs as in transformers, and the loss of training is theirs."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from plmjax.errors import UserError  # noqa: E402
from plmjax.interop import Pretrained, load_huggingface  # noqa: E402
from plmjax.interop.seq2seq import rotate, shift_right  # noqa: E402
from tests.interop import reference  # noqa: E402
from tests.interop.case import VOCABULARY, Case  # noqa: E402
from tests.interop.cases.bart import MARIAN, SCALED, SIZES  # noqa: E402
from tests.interop.cases.t5 import T5, T5_1_1  # noqa: E402

ONE = {"encoder_layers": 1, "decoder_layers": 1}
WRITERS = [
    Case("BartForConditionalGeneration", SIZES | ONE),
    Case("MBartForConditionalGeneration", SCALED | ONE),
    Case("MarianMTModel", MARIAN | ONE | {"pad_token_id": 100, "decoder_start_token_id": 100}),
    Case("T5ForConditionalGeneration", T5 | {"num_layers": 1, "num_decoder_layers": 1}, name="T5"),
    Case("T5ForConditionalGeneration", T5_1_1 | {"num_layers": 1, "num_decoder_layers": 1}, name="T5-1.1"),
]
IGNORED = -100


@pytest.fixture(scope="module", params=WRITERS, ids=str)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Pretrained]:
    model = reference.random_model(request.param)
    directory = tmp_path_factory.mktemp("writer")
    model.save_pretrained(directory)
    return model, load_huggingface(directory)


def test_loss_and_scores_are_theirs(pair: tuple[Any, Pretrained]) -> None:
    model, ours = pair
    rng = np.random.default_rng(2)
    inputs = {"input_ids": rng.integers(3, VOCABULARY - 2, (3, 9)), "attention_mask": np.ones((3, 9), np.int64)}
    inputs["attention_mask"][1, 6:] = 0
    labels = rng.integers(3, VOCABULARY - 2, (3, 7))
    labels[0, 5:], labels[2, 3:] = IGNORED, IGNORED
    labels[1, 2] = IGNORED  # in the midst of a text, for which the decoder reads padding
    with torch.no_grad():
        expected = model(**{name: torch.tensor(value) for name, value in (inputs | {"labels": labels}).items()})
    found = ours(**inputs, labels=labels)
    np.testing.assert_allclose(found["logits"], expected.logits.numpy(), atol=reference.FORWARD_TOLERANCE)
    assert float(found["loss"]) == pytest.approx(float(expected.loss), rel=1e-5)
    other = ours(**inputs, labels=np.where(labels == IGNORED, IGNORED, 5))  # the labels are read and are predicted
    assert abs(float(other["loss"]) - float(found["loss"])) > 0.01


def test_shifted_by_hand() -> None:
    special = {"pad_token_id": 1, "decoder_start_token_id": 2}
    labels = np.array([[5, 6, 7, 90], [5, 90, IGNORED, IGNORED]])
    np.testing.assert_array_equal(shift_right(labels, special), [[2, 5, 6, 7], [2, 5, 90, 1]])
    np.testing.assert_array_equal(rotate(labels, special), [[90, 5, 6, 7], [90, 5, 90, 1]])


def test_wrong_labels(pair: tuple[Any, Pretrained]) -> None:
    _, ours = pair
    with pytest.raises(UserError, match=f"'labels' holds -3 to 5, outside 0 to {VOCABULARY - 1}"):
        ours(input_ids=[[3, 4]], labels=[[5, -3]])
    with pytest.raises(UserError, match=r"'labels' is .*\[1, 3\], where integers of shape \[1, 2\] are needed"):
        ours(input_ids=[[3, 4]], decoder_input_ids=[[2, 3]], labels=[[5, 6, 7]])
