"""XLNet beyond what every class is held to: memory over segments, directions, the two words for padding."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from plmjax.errors import UserError  # noqa: E402
from plmjax.interop import load_huggingface  # noqa: E402
from plmjax.modules import Bound  # noqa: E402
from plmjax.modules.memory import Memory  # noqa: E402
from tests.interop import reference  # noqa: E402
from tests.interop.case import VOCABULARY, Case  # noqa: E402
from tests.interop.cases.xlnet import XLNET, random_order  # noqa: E402


def pair(directory: Path, **config: Any):
    """The model on both sides; in transformers, with its memory in use where the configuration says so."""
    model = reference.random_model(Case("XLNetLMHeadModel", XLNET | config))
    model.save_pretrained(directory)
    return model, load_huggingface(directory)


def compared(model: Any, ours: Any, inputs: dict[str, Any], places: Any = ...):
    """The outputs of both; logits are held within the tolerance."""
    with torch.no_grad():
        given = {
            name: [torch.tensor(x) for x in value] if name == "mems" else torch.tensor(value)
            for name, value in inputs.items()
        }
        theirs = model(**given)
    mine = ours(**inputs)
    assert np.abs(mine["logits"] - theirs.logits.numpy())[places].max() < reference.FORWARD_TOLERANCE
    return theirs, mine


@pytest.mark.parametrize(("memory", "reuse"), [(7, 0), (9, 4), (None, 0), (None, 3)])
def test_memory_over_segments(memory: int | None, reuse: int, tmp_path: Path) -> None:
    model, ours = pair(tmp_path, use_mems_eval=True, mem_len=memory, reuse_len=reuse)
    rng = np.random.default_rng(0)
    mems = None
    for segment in range(4):
        mask = np.ones((3, 5), np.int64)
        inputs: dict[str, Any] = {"input_ids": rng.integers(3, VOCABULARY, mask.shape)}
        inputs |= random_order(rng, inputs["input_ids"], mask)
        if mems is not None:
            inputs["mems"] = mems
        theirs, mine = compared(model, ours, inputs)
        kept = (segment + 1) * (reuse or 5)
        length = kept if memory is None else min(memory, kept)
        assert mine["mems"].shape == (2, length, 3, 36)
        for layer in range(2):
            assert np.abs(mine["mems"][layer] - theirs.mems[layer].numpy()).max() < reference.FORWARD_TOLERANCE
        mems = mine["mems"]


def test_memory_with_padding_on_the_left(tmp_path: Path) -> None:
    model, ours = pair(tmp_path, use_mems_eval=True, mem_len=4)
    inputs = reference.inputs_of(Case("XLNetLMHeadModel", XLNET, extra=random_order), "left")
    mems = np.random.default_rng(1).normal(size=(2, 4, 3, 36)).astype(np.float32)
    compared(model, ours, inputs | {"mems": mems}, inputs["target_mapping"].any(-1))
    compared(model, ours, inputs | {"mems": list(mems)}, inputs["target_mapping"].any(-1))


def test_input_mask_is_the_other_word_for_padding(tmp_path: Path) -> None:
    _, ours = pair(tmp_path)
    inputs = reference.inputs_of(Case("XLNetLMHeadModel", XLNET), "left")
    mask = inputs.pop("attention_mask")
    np.testing.assert_array_equal(
        ours(**inputs, attention_mask=mask)["logits"], ours(**inputs, input_mask=1.0 - mask)["logits"]
    )


def test_left_to_right(tmp_path: Path) -> None:
    """transformers fails on a mask here, so there is none."""
    model, ours = pair(tmp_path, attn_type="uni", use_mems_eval=True, mem_len=6)
    assert ours.config.causal
    tokens = np.random.default_rng(2).integers(3, VOCABULARY, (3, 7))
    first, mine = compared(model, ours, {"input_ids": tokens})
    compared(model, ours, {"input_ids": tokens[:, ::-1].copy(), "mems": mine["mems"]})
    assert len(first.mems) == 2


def test_rows_that_run_backwards(tmp_path: Path) -> None:
    """transformers has the second half of the batch run backwards when its config says bi_data."""
    model, ours = pair(tmp_path, mem_len=3)
    model.transformer.bi_data = True
    rng = np.random.default_rng(3)
    tokens = rng.integers(3, VOCABULARY, (4, 7))
    extra = random_order(rng, tokens, np.ones_like(tokens))
    mems = rng.normal(size=(2, 3, 4, 36)).astype(np.float32)
    with torch.no_grad():
        given = {name: torch.tensor(x) for name, x in ({"input_ids": tokens} | extra).items()}
        theirs = model(**given, mems=[torch.tensor(x) for x in mems]).logits.numpy()
    network = Bound(ours.module, ours.params)
    streams = network.two_streams(
        tokens,
        extra["perm_mask"],
        extra["target_mapping"],
        extra["token_type_ids"],
        memory=Memory(np.moveaxis(mems, 2, 0), np.ones((4, 3), bool)),
        backward_B=np.array([False, False, True, True]),
    )
    assert np.abs(np.asarray(network.token_logits(streams.g)) - theirs).max() < reference.FORWARD_TOLERANCE
    plain = network.two_streams(tokens, extra["perm_mask"], extra["target_mapping"], extra["token_type_ids"])
    assert np.abs(np.asarray(network.token_logits(plain.g)) - theirs)[2:].max() > 0.01


def test_wrong_inputs_are_named(tmp_path: Path) -> None:
    _, ours = pair(tmp_path)
    tokens = np.ones((2, 5), np.int64)
    for inputs, message in (
        ({"perm_mask": np.zeros((2, 5, 4))}, r"'perm_mask' is .*\[2, 5, 4\].*\[2, 5, 5\]"),
        ({"target_mapping": np.zeros((2, 5))}, r"'target_mapping'.*\[2, any, 5\]"),
        ({"mems": np.zeros((3, 4, 2, 36), np.float32)}, r"'mems'.*\[2, any, 2, 36\]"),
        ({"perm_mask": np.full((2, 5, 5), "x")}, "numbers of shape"),
        ({"position_ids": tokens}, "takes no input 'position_ids'"),
    ):
        with pytest.raises(UserError, match=message):
            ours(input_ids=tokens, **inputs)
