"""Random two-layer models of `transformers`, the inputs and losses to compare on, and how far they may differ."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from plmjax.interop import Pretrained
from plmjax.interop.tables import export_params
from plmjax.modules import Bound, build

# Absolute, float32 on both sides; what remains is the order of sums. Never to be relaxed: find the difference instead.
FORWARD_TOLERANCE = 1e-4
# Largest difference over the largest gradient of the same tensor.
GRADIENT_TOLERANCE = 1e-3
# Gradients that are zero but for rounding (a key's bias moves no softmax), relative to the largest of all.
GRADIENT_FLOOR = 1e-6

VOCABULARY, LENGTH, DECODER_LENGTH = 101, 11, 7
SIZES = {"hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 53}
BERT = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 17, "type_vocab_size": 2}
ROBERTA = BERT | {"max_position_embeddings": 19, "type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1e-5}
GPT = {"vocab_size": VOCABULARY, "n_positions": 17, "n_embd": 36, "n_layer": 2, "n_head": 3}
GPT2 = GPT | {"n_inner": 53, "bos_token_id": 2, "eos_token_id": 2}
T5 = {
    "vocab_size": VOCABULARY, "d_model": 36, "d_kv": 10, "d_ff": 53, "num_layers": 2, "num_decoder_layers": 3,
    "num_heads": 3, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 10,
    "decoder_start_token_id": 0,
}  # fmt: skip
T5_1_1 = T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def corpus() -> list[str]:
    """600 sentences of made-up words, enough to train a vocabulary of a few hundred pieces on."""
    rng = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprstv" for b in "aeiou"]
    words = ["".join(rng.choice(syllables, rng.integers(1, 5))) for _ in range(800)]
    return [f"The cat, {' '.join(rng.choice(words, 12))}; it's {number}." for number in range(600)]


@dataclass(frozen=True)
class Case:
    """A class, its configuration, and the outputs to compare."""

    architecture: str
    config: dict[str, Any]
    outputs: tuple[str, ...] = ("logits",)
    name: str = ""
    pooled: tuple[str, ...] = field(default=())  # of the outputs, those with no axis of positions

    def __str__(self) -> str:
        return self.name or self.architecture


STATE, MEMORY = "last_hidden_state", "encoder_last_hidden_state"
CASES = [
    Case("BertModel", BERT, (STATE, "pooler_output"), pooled=("pooler_output",)),
    Case("BertForMaskedLM", BERT),
    Case("BertForMaskedLM", BERT | {"hidden_act": "gelu_new"}, name="BertForMaskedLM-gelu_new"),
    Case("BertLMHeadModel", BERT),
    Case("BertForNextSentencePrediction", BERT, pooled=("logits",)),
    Case(
        "BertForPreTraining",
        BERT,
        ("prediction_logits", "seq_relationship_logits"),
        pooled=("seq_relationship_logits",),
    ),
    Case("RobertaModel", ROBERTA, (STATE, "pooler_output"), pooled=("pooler_output",)),
    Case("RobertaForMaskedLM", ROBERTA),
    Case("GPT2Model", GPT2, (STATE,)),
    Case("GPT2LMHeadModel", GPT2),
    Case("OpenAIGPTModel", GPT, (STATE,)),
    Case("OpenAIGPTLMHeadModel", GPT),
    Case("T5Model", T5, (STATE, MEMORY)),
    Case("T5EncoderModel", T5, (STATE,)),
    Case("T5ForConditionalGeneration", T5, ("logits", MEMORY)),
    Case("T5Model", T5_1_1, (STATE, MEMORY), name="T5Model-1.1"),
    Case("T5EncoderModel", T5_1_1, (STATE,), name="T5EncoderModel-1.1"),
    Case("T5ForConditionalGeneration", T5_1_1, ("logits", MEMORY), name="T5ForConditionalGeneration-1.1"),
]


def random_model(case: Case) -> Any:
    """The torch model in evaluation mode, every parameter away from its initial zeros and ones."""
    import torch
    import transformers

    kind = getattr(transformers, case.architecture)
    torch.manual_seed(0)
    model = kind(kind.config_class(**case.config)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter) * 0.15
            is_scale = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(1 + noise if is_scale else noise)
    return model


def inputs_of(case: Case, side: str) -> dict[str, np.ndarray]:
    """Three rows, the first without padding, the others padded on `side`."""
    rng = np.random.default_rng(7)
    pad = case.config.get("pad_token_id", 0)

    def tokens_and_mask(length: int) -> tuple[np.ndarray, np.ndarray]:
        mask = np.ones((3, length), np.int64)
        for row, count in ((1, 2), (2, length - 3)):
            mask[row, : count if side == "left" else 0] = 0
            mask[row, length - (count if side == "right" else 0) :] = 0
        return np.where(mask == 1, rng.integers(3, VOCABULARY, mask.shape), pad), mask

    tokens, mask = tokens_and_mask(LENGTH)
    inputs = {"input_ids": tokens, "attention_mask": mask}
    if case.architecture.startswith("Bert"):
        inputs["token_type_ids"] = rng.integers(0, 2, mask.shape) * mask
    if case.architecture.startswith("T5") and case.architecture != "T5EncoderModel":
        decoder_tokens, decoder_mask = tokens_and_mask(DECODER_LENGTH)
        inputs |= {"decoder_input_ids": decoder_tokens, "decoder_attention_mask": decoder_mask}
    return inputs


def meaningful(case: Case, name: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """bool, where an output is of no padding: [B] for what is pooled of the first token, else [B, L]."""
    if name in case.pooled:
        return inputs["attention_mask"][:, 0] == 1
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
        if name in (STATE, MEMORY, "pooler_output"):
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
    if "GPT" in case.architecture or case.architecture == "BertLMHeadModel":
        labels = np.roll(inputs["input_ids"], -1, axis=1)
        counted = places & np.roll(places, -1, axis=1)
        counted[:, -1] = False
        return labels, counted
    classes = 2 if name in case.pooled else VOCABULARY
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
        arrays = {name: value.astype(np.int32) for name, value in inputs.items()}
        tensors = export_params(table, gradient(pretrained.params, arrays, targets))
        bare = pretrained.architecture == pretrained.family.bare
        return {name.removeprefix(pretrained.family.prefix) if bare else name: x for name, x in tensors.items()}

    return compute
