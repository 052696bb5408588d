"""The same numbers as `transformers` on PyTorch: outputs, gradients, files, for every class that is read."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.numpy import load_file  # noqa: E402

from plmjax.interop import Pretrained, load_huggingface, save_huggingface  # noqa: E402
from plmjax.interop.weight_map import flatten  # noqa: E402
from tests.interop import reference  # noqa: E402
from tests.interop.case import Case  # noqa: E402
from tests.interop.cases import CASES  # noqa: E402


class Pair(NamedTuple):
    """One model on both sides."""

    case: Case
    model: Any
    directory: Path
    ours: Pretrained
    gradients: Callable[..., dict[str, np.ndarray]]


@pytest.fixture(scope="module", params=CASES, ids=str)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    model = reference.random_model(request.param)
    directory = tmp_path_factory.mktemp("reference")
    model.save_pretrained(directory)
    ours = load_huggingface(directory)
    return Pair(request.param, model, directory, ours, reference.gradients_by_their_names(ours))


def assert_same_outputs(case: Case, theirs: Any, ours: dict[str, np.ndarray], inputs: dict[str, np.ndarray]) -> float:
    assert set(ours) == set(case.outputs)
    worst = 0.0
    for name in case.outputs:
        places = reference.meaningful(case, name, inputs)
        expected = theirs[name].detach().numpy()
        assert ours[name].shape == expected.shape
        worst = max(worst, float(np.abs(ours[name] - expected)[places].max()))
    assert worst < reference.FORWARD_TOLERANCE
    return worst


@pytest.mark.parametrize("side", ["right", "left"])
def test_outputs(pair: Pair, side: str, record_property) -> None:
    inputs = reference.inputs_of(pair.case, side)
    with torch.no_grad():
        theirs = reference.torch_outputs(pair.model, inputs)
    record_property("error", assert_same_outputs(pair.case, theirs, pair.ours(**inputs), inputs))


@pytest.mark.parametrize("side", ["right", "left"])
def test_gradients(pair: Pair, side: str, record_property) -> None:
    inputs = reference.inputs_of(pair.case, side)
    pair.model.zero_grad()
    outputs = reference.torch_outputs(pair.model, inputs)
    targets = reference.targets_of(pair.case, outputs, inputs)
    reference.torch_loss(outputs, targets).backward()
    theirs = {name: p.grad.numpy() for name, p in pair.model.named_parameters() if p.grad is not None}
    ours = pair.gradients(inputs, targets)
    largest = max(np.abs(value).max() for value in theirs.values())
    worst = 0.0
    assert set(theirs) <= set(ours)
    for name in dict(pair.model.named_buffers()):
        ours.pop(name, None)  # Marian's bias, which is trained in Marian and not in this class
    for name, value in ours.items():
        expected = theirs.get(name, np.zeros_like(value))
        scale = max(np.abs(expected).max(), reference.GRADIENT_FLOOR * largest / reference.GRADIENT_TOLERANCE)
        error = float(np.abs(value - expected).max() / scale)
        assert error < reference.GRADIENT_TOLERANCE, name
        worst = max(worst, error)
    record_property("error", worst)


def test_loss_is_the_class_own(pair: Pair) -> None:
    """The formula that the gradients are taken of is what the class computes from labels."""
    if not pair.case.own_loss or not any(name.endswith("logits") for name in pair.case.outputs):
        pytest.skip("it has none, or one of another form")
    case, inputs = pair.case, reference.inputs_of(pair.case, "right")
    given = {name: torch.tensor(value) for name, value in inputs.items()}
    for name in case.outputs:
        if not name.endswith("logits"):
            continue
        labels, counted = reference.labels_of(case, name, inputs)
        if case.shifted:
            labels, counted = inputs["input_ids"], inputs["attention_mask"] == 1
        key = case.label_names.get(name, "labels")
        given[key] = torch.tensor(np.where(counted, labels, -100))
    with torch.no_grad():
        outputs = pair.model(**given)
        logits = tuple(name for name in case.outputs if name.endswith("logits"))
        only_logits = dataclasses.replace(case, outputs=logits)
        ours = reference.torch_loss(outputs, reference.targets_of(only_logits, outputs, inputs))
    assert float(ours) == pytest.approx(float(outputs.loss), rel=1e-5)


def test_round_trips(pair: Pair, tmp_path: Path) -> None:
    """Theirs -> ours -> theirs -> ours, to the bit; and transformers computes the same from the files."""
    save_huggingface(pair.ours, tmp_path)
    before, after = load_file(pair.directory / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name], err_msg=name, strict=True)
    again = load_huggingface(tmp_path)
    assert (again.config, again.architecture, again.special) == (
        pair.ours.config,
        pair.ours.architecture,
        pair.ours.special,
    )
    ours, theirs = flatten(pair.ours.params), flatten(again.params)
    assert ours.keys() == theirs.keys()
    for path, value in ours.items():
        np.testing.assert_array_equal(value, theirs[path], err_msg=path, strict=True)
    attention = pair.model.config._attn_implementation
    loaded, info = type(pair.model).from_pretrained(tmp_path, output_loading_info=True, attn_implementation=attention)
    assert not any(info[problem] for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    inputs = reference.inputs_of(pair.case, "right")
    with torch.no_grad():
        for parameter in loaded.parameters():  # of a mapped file they lie unaligned, and are summed in another order
            parameter.data = parameter.data.clone()
        first, second = (reference.torch_outputs(model.eval(), inputs) for model in (pair.model, loaded))
    for name in pair.case.outputs:
        np.testing.assert_array_equal(first[name], second[name])


def test_every_parameter_is_mapped(pair: Pair) -> None:
    import jax

    shapes = jax.eval_shape(pair.ours.module.init, jax.random.key(0))["params"]
    needed = {path: leaf.shape for path, leaf in flatten(shapes).items()}
    given = {path: value.shape for path, value in flatten(pair.ours.params).items()}
    absent = {path for path in needed if path not in given}
    # The bare classes have no head of their own, and its encoder no decoder.
    allowed = {
        "CTRLModel": ("token_head/",),
        "CTRLForSequenceClassification": ("token_head/",),
        **dict.fromkeys(("T5EncoderModel", "MT5EncoderModel", "UMT5EncoderModel"), ("decoder/",)),
        "T5ForTokenClassification": ("decoder/",),
    }.get(pair.case.architecture, ())
    assert all(path.startswith(allowed) if allowed else False for path in absent)
    assert given == {path: shape for path, shape in needed.items() if path in given}


@pytest.mark.parametrize(
    "name",
    [
        "GPT2LMHeadModel",
        "GPT2LMHeadModel-mistral",
        "T5ForConditionalGeneration-1.1",
        "UMT5ForConditionalGeneration",
        "Bart-unlike-sides",
    ],
)
def test_generation(name: str, tmp_path: Path) -> None:
    """Greedy continuations are those of transformers."""
    (case,) = [case for case in CASES if str(case) == name]
    # The cache of transformers has as many layers as the encoder.
    layers = {"num_decoder_layers": 2} if "T5" in name else {"decoder_layers": 2} if "Bart" in name else {}
    case = dataclasses.replace(case, config=case.config | layers)
    model = reference.random_model(case)
    model.save_pretrained(tmp_path)
    ours = load_huggingface(tmp_path)
    decoder = case.architecture.startswith("GPT2")
    inputs = reference.inputs_of(case, "left" if decoder else "right")
    given = {key: torch.tensor(inputs[key]) for key in ("input_ids", "attention_mask")}
    options = {"max_new_tokens": 6, "pad_token_id": 0, "eos_token_id": 100}
    expected = model.generate(**given, do_sample=False, **options)
    np.testing.assert_array_equal(ours.generate(inputs["input_ids"], inputs["attention_mask"], **options), expected)
