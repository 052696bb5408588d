"""The facts of a family of Hugging Face's models: weights, configuration, outputs, tokenizer, templates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from plmjax.data.templates import Seq2SeqTemplate, Template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.interop.tokenizer_format import TokenizerFormat
from plmjax.interop.weight_map import Entry
from plmjax.modules import Bound

JSON = dict[str, Any]
Outputs = dict[str, Any]

# Hugging Face's -> plmjax's. "gelu_new" and its like are the tanh form.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
    "swish": "swish",
    "silu": "swish",
}
HF_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu", "swish": "swish"}


# Hugging Face's special id -> its role in plmjax's Vocabulary.
SPECIAL_ROLES = {"pad_token_id": "padding", "bos_token_id": "bos", "eos_token_id": "eos"}


class TemplateSource(Protocol):
    """What a family's templates read of a `Pretrained`."""

    @property
    def architecture(self) -> str:
        """The class of `transformers` that it behaves as."""

    @property
    def tokenizer(self) -> Tokenizer | None:
        """None where it has none."""

    @property
    def source_tokenizer(self) -> Tokenizer | None:
        """The tokenizer of what the encoder reads, where that has a vocabulary of its own."""

    @property
    def special(self) -> Mapping[str, int]:
        """Special ids under Hugging Face's names."""

    @property
    def generation(self) -> Mapping[str, Any]:
        """Settings of generation_config.json."""


@dataclass(frozen=True)
class Family:
    """One `model_type`: its weights, its configuration, and how its texts are put together.

    Attributes:
        model_type: as in config.json.
        prefix: before the trunk's names in every class but the base model.
        base_model: the class without a head.
        forward: for each class, (network, inputs, special ids) -> outputs, both under Hugging Face's names.
        inputs: class -> the names that it takes.
        ignored: pattern of tensors that hold nothing learned.
        read_config: (config.json, names of the tensors) -> the config.
        write_config: (config, special ids) -> the fields of config.json.
        table: (config, class, special ids) -> its name table, the trunk's names with the prefix.
        choose: (names of the tensors, the class in config.json or None) -> the class that they make up.
        special: the special ids that config.json may leave out.
        config_classes: of plmjax's configs, those that it holds.
        architecture: config -> the class that holds all that such a network has, or None where another family does.
        constants: (config, class) -> tensors that the class stores and the network does without.
        optional: class -> those of the tokens that it takes which may be left out.
        check: (class, inputs, special ids) raises a UserError for inputs that mean nothing to the class.
        generation: what the configuration's class has for settings of generation where no file says anything.
        tokenizer: special tokens around a text, and the classes of the tokenizer's files.
        special_roles: the special ids that a tokenizer tells, and their roles in its vocabulary.
        source_template: (checkpoint, source language, target language) -> what is around a text that an encoder-decoder
            reads, and what its decoder starts from; None: as T5's, see interop/templates.py.
        target_template: (checkpoint, what `source_template` gave) -> the token before and the tokens after a text that
            its decoder learns to write; None: as T5's.
        pair_template: (checkpoint, language) -> what is around one text or two under an encoder-decoder's heads,
            and the first token that its decoder reads; None: as T5's.
        null_fields: fields of config.json where null is a value of its own; elsewhere it is the class's default.
        scoring_format: what stands in an encoder-decoder's input for a text to score: "sentinel", "mask" or
            "", nothing; None: its texts can't be scored.
    """

    model_type: str
    prefix: str
    base_model: str
    forward: Mapping[str, Callable[[Bound, dict[str, Any], Mapping[str, int]], Outputs]]
    inputs: Callable[[str], tuple[str, ...]]
    ignored: str
    read_config: Callable[[JSON, set[str]], Any]
    write_config: Callable[[Any, Mapping[str, int]], JSON]
    table: Callable[[Any, str, Mapping[str, int]], list[Entry]]
    choose: Callable[[set[str], str | None], str]
    special: Mapping[str, int]
    config_classes: tuple[type, ...]
    architecture: Callable[[Any], str | None]
    constants: Callable[[Any, str], dict[str, np.ndarray]] = field(default=lambda config, architecture: {})
    optional: Callable[[str], tuple[str, ...]] = field(default=lambda architecture: ())
    check: Callable[[str, Mapping[str, np.ndarray], Mapping[str, int]], None] = field(default=lambda *_: None)
    generation: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: TokenizerFormat = field(default_factory=TokenizerFormat)
    special_roles: Mapping[str, str] = field(default_factory=lambda: SPECIAL_ROLES)
    source_template: Callable[[TemplateSource, str | None, str | None], Seq2SeqTemplate] | None = None
    target_template: Callable[[TemplateSource, Seq2SeqTemplate], tuple[int | None, tuple[int, ...]]] | None = None
    pair_template: Callable[[TemplateSource, str], tuple[Template, int]] | None = None
    null_fields: tuple[str, ...] = ()
    scoring_format: str | None = ""

    def special_of(self, tokenizer: Tokenizer | None) -> Mapping[str, int]:
        """The special ids of a tokenizer under Hugging Face's names; the family's own where there is no tokenizer."""
        if tokenizer is None:
            return dict(self.special)
        found = {name: getattr(tokenizer.vocabulary, role) for name, role in self.special_roles.items()}
        return {name: token for name, token in found.items() if token is not None}


def refuse(given: JSON, field_name: str, *accepted: Any) -> None:
    """UserError when config.json sets the field to anything but the accepted values (the first is the default)."""
    value = given.get(field_name, accepted[0])
    if value not in accepted:
        allowed = " or ".join(repr(one) for one in accepted)
        raise UserError(
            f"config.json has {field_name} = {value!r}, which plmjax's network does not support: it must be {allowed}."
        )


def activation(name: str, field_name: str) -> str:
    """plmjax's name of an activation of config.json; UserError for one that plmjax lacks."""
    if name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise UserError(f"config.json has {field_name} = {name!r}, an activation that plmjax lacks: it knows {known}.")
    return ACTIVATIONS[name]


def hf_activation(name: str) -> str:
    """Hugging Face's name of an activation; UserError for one that it lacks."""
    if name not in HF_ACTIVATIONS:
        raise UserError(
            f"The network's activation {name!r} has no name in Hugging Face's configurations: it can't be exported."
        )
    return HF_ACTIVATIONS[name]
