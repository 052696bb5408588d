"""Transformer-XL against transformers 4: outputs, memory over segments, gradients, files. It knows no padding."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import jax  # noqa: E402

from plmjax.data.tokenizers.vocabulary import make_vocabulary  # noqa: E402
from plmjax.errors import UserError  # noqa: E402
from plmjax.interop import load_huggingface, save_huggingface  # noqa: E402
from plmjax.interop.convert import sanity  # noqa: E402
from plmjax.interop.native import cut_vocabulary  # noqa: E402
from plmjax.interop.weight_map import flatten  # noqa: E402
from plmjax.modules import build  # noqa: E402
from tests.interop import reference  # noqa: E402
from tests.interop.case import STATE, VOCABULARY, Case  # noqa: E402

MODEL: dict[str, Any] = {
    "vocab_size": VOCABULARY, "d_model": 36, "d_embed": 36, "n_head": 3, "d_head": 7, "d_inner": 53, "n_layer": 2,
    "div_val": 1, "cutoffs": [], "mem_len": 0, "clamp_len": -1, "same_length": False, "untie_r": True,
}  # fmt: skip
SCORES = ("prediction_scores",)
LM, CUT = "TransfoXLLMHeadModel", [11, 47]
CASES = [
    Case("TransfoXLModel", MODEL, (STATE,)),
    Case("TransfoXLModel", MODEL | {"pre_lnorm": True, "mem_len": 5}, (STATE, "mems"), name="TransfoXLModel-pre"),
    Case(LM, MODEL, SCORES, name="LM-plain"),
    Case(LM, MODEL | {"untie_r": False, "clamp_len": 4}, SCORES, name="LM-tied-biases"),
    Case(LM, MODEL | {"cutoffs": CUT}, SCORES, name="LM-one-table"),
    Case(LM, MODEL | {"cutoffs": CUT, "d_embed": 20}, SCORES, name="LM-narrow-table"),
    Case(LM, MODEL | {"cutoffs": CUT, "div_val": 2}, SCORES, name="LM-divided"),
    Case(LM, MODEL | {"cutoffs": CUT, "div_val": 2, "proj_share_all_but_first": False}, SCORES, name="LM-untied"),
    Case(LM, MODEL | {"cutoffs": CUT, "div_val": 4, "mem_len": 6, "same_length": True}, (*SCORES, "mems"), name="LM"),
]


@pytest.fixture(scope="module", params=CASES, ids=str)
def pair(request, tmp_path_factory):
    """The case, the torch model, its files, and ours of them."""
    with pytest.MonkeyPatch.context() as patch:
        as_torch_is_now(patch)
        model = reference.random_model(request.param)
        directory = tmp_path_factory.mktemp("reference")
        # transformers can't write the biases that all layers share as safetensors.
        model.save_pretrained(directory, safe_serialization=model.config.untie_r)
        yield request.param, model, directory, load_huggingface(directory)


def as_torch_is_now(patch: pytest.MonkeyPatch) -> None:
    """The class calls `type_as(dtype=...)`, which torch has not had for long."""
    own = torch.Tensor.type_as
    patch.setattr(
        torch.Tensor, "type_as", lambda x, other=None, dtype=None: x.to(dtype) if other is None else own(x, other)
    )


def tokens_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, VOCABULARY, (3, 11))


def torch_outputs(model: Any, tokens: np.ndarray, mems: Any = None) -> Any:
    return model(torch.tensor(tokens), mems=None if mems is None else [torch.tensor(x) for x in mems])


def assert_close(theirs: Any, mine: dict[str, np.ndarray], outputs: tuple[str, ...]) -> float:
    assert set(mine) == set(outputs)
    worst = 0.0
    for name in outputs:
        expected = torch.stack(list(theirs[name])) if name == "mems" else theirs[name]
        assert mine[name].shape == tuple(expected.shape)
        worst = max(worst, float(np.abs(mine[name] - expected.detach().numpy()).max()))
    assert worst < reference.FORWARD_TOLERANCE
    return worst


def test_outputs_over_segments(pair, record_property) -> None:
    case, model, _, ours = pair
    theirs_mems = our_mems = None
    worst = 0.0
    for seed in range(3):
        tokens = tokens_of(seed)
        with torch.no_grad():
            theirs = torch_outputs(model, tokens, theirs_mems)
        mine = ours(input_ids=tokens, **({} if our_mems is None else {"mems": our_mems}))
        worst = max(worst, assert_close(theirs, mine, case.outputs))
        if "mems" in case.outputs:
            theirs_mems, our_mems = [x.numpy() for x in theirs.mems], mine["mems"]
    record_property("error", worst)


def test_memory_changes_the_outputs(pair) -> None:
    case, _, _, ours = pair
    if "mems" not in case.outputs:
        pytest.skip("it keeps none")
    first, second = (ours(input_ids=tokens_of(seed))["mems"] for seed in (0, 1))
    name = case.outputs[0]
    one, other = (ours(input_ids=tokens_of(2), mems=mems)[name] for mems in (first, second))
    assert np.abs(one - other).max() > 1e-2


def test_gradients(pair, record_property) -> None:
    case, model, _, ours = pair
    name, tokens = case.outputs[0], tokens_of(4)
    model.zero_grad()
    outputs = torch_outputs(model, tokens)
    direction = np.random.default_rng(5).normal(size=tuple(outputs[name].shape)).astype(np.float32) / 100
    (outputs[name] * torch.tensor(direction)).sum().backward()
    theirs = {key: p.grad.numpy() for key, p in model.named_parameters() if p.grad is not None}
    mine = reference.gradients_by_their_names(ours)({"input_ids": tokens}, {name: {"direction": direction}})
    largest = max(np.abs(value).max() for value in theirs.values())
    worst = 0.0
    assert set(theirs) <= set(mine)
    names = {key for key, _ in model.named_parameters()}  # what all layers share has one name here, several in a file
    for key, value in mine.items():
        if key not in names:
            continue
        expected = theirs.get(key, np.zeros_like(value))
        scale = max(np.abs(expected).max(), reference.GRADIENT_FLOOR * largest / reference.GRADIENT_TOLERANCE)
        worst = max(worst, float(np.abs(value - expected).max() / scale))
        assert worst < reference.GRADIENT_TOLERANCE, key
    record_property("error", worst)


def test_round_trip(pair, tmp_path: Path) -> None:
    """Theirs -> ours -> theirs -> ours, to the bit; and transformers reads the files whole."""
    _, model, _, ours = pair
    save_huggingface(ours, tmp_path)
    again = load_huggingface(tmp_path)
    assert (again.config, again.architecture) == (ours.config, ours.architecture)
    before, after = flatten(ours.params), flatten(again.params)
    assert before.keys() == after.keys()
    for path, value in before.items():
        np.testing.assert_array_equal(value, after[path], err_msg=path, strict=True)
    loaded, info = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[problem] for problem in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    state = loaded.state_dict()
    for key, value in model.state_dict().items():
        if key.endswith("inv_freq"):  # nothing learned: computed anew, in another library
            np.testing.assert_allclose(value.numpy(), state[key].numpy(), rtol=1e-6)
        else:
            np.testing.assert_array_equal(value.numpy(), state[key].numpy(), err_msg=key)


def test_every_parameter_is_mapped(pair) -> None:
    _, model, _, ours = pair
    needed = flatten(jax.eval_shape(ours.module.init, jax.random.key(0))["params"])
    assert {path: leaf.shape for path, leaf in needed.items()} == {
        path: value.shape for path, value in flatten(ours.params).items()
    }
    assert sum(leaf.size for leaf in needed.values()) == sum(p.numel() for p in model.parameters())


def test_another_activation_is_not_exported(pair, tmp_path: Path) -> None:
    ours = pair[3]
    other = dataclasses.replace(ours, config=dataclasses.replace(ours.config, activation="gelu"))
    with pytest.raises(UserError, match="'relu': one with 'gelu' can't be exported"):
        save_huggingface(other, tmp_path)


class Letters:
    """As much of a tokenizer as a report needs."""

    vocabulary = make_vocabulary(90, {})
    special_names: ClassVar[dict[int, str]] = {}

    def encode(self, text: str) -> list[int]:
        return [ord(letter) % 90 for letter in text]

    def decode(self, tokens: list[int], skip_special: bool = True) -> str:
        return "".join(chr(token) for token in tokens)


def test_a_conversion_says_what_the_checkpoint_predicts(pair) -> None:
    stand_in: Any = Letters()
    ours = dataclasses.replace(pair[3], tokenizer=stand_in)
    lines = list(sanity(ours))
    if ours.architecture == "TransfoXLModel":
        assert lines == []
    else:
        assert len(lines) == 6 and lines[0].startswith("The man went to the")


def test_a_padded_vocabulary_is_cut_at_the_end_of_the_last_cluster(pair) -> None:
    ours = pair[3]
    config, params = cut_vocabulary(ours.config, ours.params, VOCABULARY - 5)
    needed = jax.eval_shape(build(config).init, jax.random.key(0))["params"]
    assert jax.tree.map(np.shape, params) == jax.tree.map(lambda leaf: leaf.shape, needed)
