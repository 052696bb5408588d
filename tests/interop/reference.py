"""Random two-layer models of `transformers`, the inputs and losses to compare on, and how far they may differ."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from plmjax.interop import Pretrained
from plmjax.interop.weight_map import export_params
from plmjax.modules import Bound, build
from tests.interop.case import ENDS, LENGTH, MEMORY, STATE, VOCABULARY, Case, tokens_and_mask

# Absolute, float32 on both sides; what remains is the order of sums. Never to be relaxed: find the difference instead.
FORWARD_TOLERANCE = 1e-4
# Largest difference over the largest gradient of the same tensor.
GRADIENT_TOLERANCE = 1e-3
# Gradients that are zero but for rounding (a key's bias moves no softmax), relative to the largest of all.
GRADIENT_FLOOR = 1e-6


def corpus() -> list[str]:
    """600 sentences of made-up words, enough to train a vocabulary of a few hundred pieces on."""
    rng = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprstv" for b in "aeiou"]
    words = ["".join(rng.choice(syllables, rng.integers(1, 5))) for _ in range(800)]
    return [f"The cat, {' '.join(rng.choice(words, 12))}; it's {number}." for number in range(600)]


def random_model(case: Case) -> Any:
    """The torch model in evaluation mode, every parameter away from its initial zeros and ones."""
    import torch
    import transformers

    kind = getattr(transformers, case.architecture)
    torch.manual_seed(0)
    model = kind(kind.config_class(**case.config)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue  # a constant, such as a table of sines
            noise = torch.randn_like(parameter) * 0.15
            is_scale = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(1 + noise if is_scale else noise)
    return model


def inputs_of(case: Case, side: str) -> dict[str, np.ndarray]:
    """Three rows, the first without padding, the others padded on `side`."""
    rng = np.random.default_rng(7)
    tokens, mask = tokens_and_mask(rng, LENGTH, side, case.config.get("pad_token_id", 0))
    inputs = {"input_ids": tokens, "attention_mask": mask}
    return inputs | (case.extra(rng, tokens, mask) if case.extra else {})


def meaningful(case: Case, name: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """bool, where an output is of no padding: [B] for what is pooled, [B, M] of predicted tokens, else [B, L]."""
    if name in case.pooled:
        mask = inputs["attention_mask"]
        return mask.any(1) if case.pooled_at is None else mask[:, case.pooled_at] == 1
    if "target_mapping" in inputs:
        return inputs["target_mapping"].any(-1)
    decoder = "decoder_attention_mask" in inputs and name != MEMORY
    return inputs["decoder_attention_mask" if decoder else "attention_mask"] == 1


def torch_outputs(model: Any, inputs: dict[str, np.ndarray]) -> Any:
    """What the torch model gives, with its graph."""
    import torch

    return model(**{name: torch.tensor(value) for name, value in inputs.items()})


def targets_of(case: Case, outputs: Any, inputs: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """What `standard_loss` needs for each output, as arrays; `outputs` gives the shapes."""
    rng = np.random.default_rng(3)
    targets: dict[str, dict[str, np.ndarray]] = {}
    for name in case.outputs:
        shape, places = outputs[name].shape, meaningful(case, name, inputs)
        if name.endswith("_index"):
            continue  # whole numbers have no gradient
        if case.directed or name in (STATE, MEMORY, "pooler_output", *ENDS):
            direction = rng.normal(size=shape) * places.reshape(*places.shape, *[1] * (len(shape) - places.ndim))
            targets[name] = {"direction": (direction / places.sum()).astype(np.float32)}
        else:
            labels, counted = labels_of(case, name, inputs)
            likelihood = np.eye(shape[-1])[labels] * counted[..., None] / counted.sum()
            targets[name] = {"likelihood": likelihood.astype(np.float32)}
    return targets


def standard_loss(outputs: Any, targets: dict[str, dict[str, Any]], log_softmax: Any) -> Any:
    """The loss that the class is trained with, at the places that mean something; of states, a fixed random product.

    One formula for both sides, checked against the class's own loss in a test.
    """
    loss = 0.0
    for name, target in targets.items():
        if "direction" in target:
            loss = loss + (outputs[name] * target["direction"]).sum()
        else:
            loss = loss - (log_softmax(outputs[name], -1) * target["likelihood"]).sum()
    return loss


def labels_of(case: Case, name: str, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(labels, whether each counts) of a classifying output; a left-to-right model's are its own next tokens."""
    places = meaningful(case, name, inputs)
    if case.shifted:
        labels = np.roll(inputs["input_ids"], -1, axis=1)
        counted = places & np.roll(places, -1, axis=1)
        counted[:, -1] = False
        return labels, counted
    classes = case.labels or (2 if name in case.pooled else VOCABULARY)
    return np.random.default_rng(5).integers(0, classes, places.shape), places


def torch_loss(outputs: Any, targets: dict[str, dict[str, np.ndarray]]) -> Any:
    """`standard_loss` in torch."""
    import torch

    as_torch = {name: {key: torch.tensor(x) for key, x in target.items()} for name, target in targets.items()}
    return standard_loss(outputs, as_torch, torch.log_softmax)


def gradients_by_their_names(pretrained: Pretrained) -> Callable[..., dict[str, np.ndarray]]:
    """(inputs, targets) -> the gradient of `standard_loss` by our parameters under Hugging Face's names."""
    run = pretrained.family.forward[pretrained.architecture]
    module = build(replace(pretrained.config, unroll=False))  # compiles sooner; the outputs are compared unrolled

    def loss(params: Any, arrays: Any, targets: Any) -> jax.Array:
        outputs = run(Bound(module, params), arrays, pretrained.special)
        return standard_loss(outputs, targets, jax.nn.log_softmax)

    gradient = jax.jit(jax.grad(loss))
    table = pretrained.family.table(pretrained.config, pretrained.architecture, pretrained.special)

    def compute(inputs: dict[str, np.ndarray], targets: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        arrays = {
            name: value.astype(np.float32 if value.dtype.kind == "f" else np.int32) for name, value in inputs.items()
        }
        tensors = export_params(table, gradient(pretrained.params, arrays, targets))
        bare = pretrained.architecture == pretrained.family.base_model
        return {name.removeprefix(pretrained.family.prefix) if bare else name: x for name, x in tensors.items()}

    return compute
