"""The heads of fine-tuning, which Hugging Face's encoders have alike: a text's class, each token's, an answer's ends.

Legend: B batch, L length, D model width, C classes.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jax import Array

from plmjax.interop.family import JSON, Outputs
from plmjax.interop.weight_map import LINEAR, Entry, dense
from plmjax.modules import Bound

States = Callable[[Bound, dict[str, Array], Mapping[str, int]], Array]
"""(network, inputs under Hugging Face's names, special ids) -> [B, L, D]."""
Forward = Callable[[Bound, dict[str, Array], Mapping[str, int]], Outputs]

TAG = "ForTokenClassification"
CLASS = "ForSequenceClassification"
ANSWER = "ForQuestionAnswering"


def fine_tuned(name: str, states: States) -> dict[str, Forward]:
    """{class: forward} of the three classes `<name>For...`."""

    def classify(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
        return {"logits": network.class_logits(states(network, inputs, special))}

    def tag(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
        return {"logits": network.token_classification_logits(states(network, inputs, special))}

    def answer(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
        logits_BL2 = network.question_answering_logits(states(network, inputs, special))
        return {"start_logits": logits_BL2[..., 0], "end_logits": logits_BL2[..., 1]}

    return {name + CLASS: classify, name + TAG: tag, name + ANSWER: answer}


def answer(network: Bound, x_BLD: Array, inputs: dict[str, Array]) -> Outputs:
    """Scores of an answer's start and end, from the states."""
    logits_BL2 = network.question_answering_logits(x_BLD)
    return {"start_logits": logits_BL2[..., 0], "end_logits": logits_BL2[..., 1]}


def beam_answer(network: Bound, x_BLD: Array, inputs: dict[str, Array]) -> Outputs:
    """The likeliest answers of a beam search; the outputs named log probabilities are probabilities."""
    hidden_BL = inputs["p_mask"] > 0 if "p_mask" in inputs else None
    beams = network.beam_answers(x_BLD, hidden_BL, inputs.get("cls_index"))
    batch = x_BLD.shape[0]
    return {
        "start_top_log_probs": beams.start_probabilities,
        "start_top_index": beams.starts,
        "end_top_log_probs": beams.end_probabilities.reshape(batch, -1),
        "end_top_index": beams.ends.reshape(batch, -1),
        "cls_logits": beams.class_logits,
    }


def found_heads(given: JSON, names: set[str], classifier: str = "classifier") -> list[str]:
    """Those of "sequence_classification", "token_classification" and "question_answering" whose tensors are there.

    A text's classifier and a token's may have one name; then config.json's class says which it is, the text's by
    default.
    """
    heads = []
    if any(name.startswith(f"{classifier}.") for name in names):
        stated = next(iter(given.get("architectures") or []), "")
        heads.append("token_classification" if stated.endswith(TAG) else "sequence_classification")
    if any(name.startswith("qa_outputs.") for name in names):
        heads.append("question_answering")
    return heads


def head_entries(heads: tuple[str, ...], class_head: list[Entry]) -> list[Entry]:
    """The tables of the three heads, as far as the network has them; `class_head` is the family's own."""
    entries = list(class_head) if "sequence_classification" in heads else []
    if "token_classification" in heads:
        entries += dense("tag_head", "classifier", LINEAR)
    if "question_answering" in heads:
        entries += dense("answer_head", "qa_outputs", LINEAR)
    return entries


def chosen(name: str, names: set[str], classifier: str = "classifier") -> str | None:
    """The class `<name>For...` that a fine-tuned head makes, None where there is no such head."""
    if any(tensor.startswith("qa_outputs.") for tensor in names):
        return name + ANSWER
    if any(tensor.startswith(f"{classifier}.") for tensor in names):
        return name + CLASS
    return None


def architecture_of_heads(name: str, heads: tuple[str, ...]) -> str | None:
    """The class `<name>For...` of a network with such a head, None where it has none."""
    for head, suffix in (
        ("sequence_classification", CLASS),
        ("token_classification", TAG),
        ("question_answering", ANSWER),
    ):
        if head in heads:
            return name + suffix
    return None


def num_labels(given: JSON, usual: int = 2) -> int:
    """C of a config.json, `usual` where it says nothing, as in `transformers`."""
    labels = given.get("id2label")
    return len(labels) if labels else given.get("num_labels", usual)


def label_fields(config: Any) -> JSON:
    """config.json's word for C, where a head has classes."""
    labelled = {"sequence_classification", "token_classification"} & set(config.heads)
    return {"num_labels": config.num_labels} if labelled else {}


def classifier_fields(given: JSON, is_there: bool) -> JSON:
    """`heads` and `num_labels` of a decoder's config, from config.json and whether the classifier's tensor is there."""
    return {"heads": ("sequence_classification",), "num_labels": num_labels(given)} if is_there else {}
