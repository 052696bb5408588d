"""A network with its parameters and tokenizer, called as `transformers` calls it.

Legend: B batch, L length.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.decode.config import GenerationConfig
from plmjax.decode.generate import generate
from plmjax.interop.family import Family
from plmjax.interop.generation import merged
from plmjax.interop.inputs import checked_inputs
from plmjax.interop.registry import BY_CLASS
from plmjax.modules import Bound, build
from plmjax.modules.network import Network


@dataclass(frozen=True, eq=False, repr=False)
class Pretrained:
    """A network with its parameters: arrays in, arrays out. `plmjax.load` gives one that reads strings too.

    Attributes:
        config: the network's, of plmjax.modules; `vocab_size` is the number of rows in `params`.
        params: nested dict of float32 arrays.
        architecture: the class of `transformers` that it behaves as ("BertForMaskedLM").
        tokenizer: None where the directory has none.
        special: the special ids under Hugging Face's names ("pad_token_id", "decoder_start_token_id", ...).
        extras: fields of a config.json that mean nothing here and are written back by `save_huggingface`.
        generation: settings of a generation_config.json, the defaults of `generate`; see interop/generation.py.
        task_metadata: "task" and "recipe" of a network that plmjax has fine-tuned, as JSON.
        source_tokenizer: of what the encoder reads, where that has a vocabulary of its own.
    """

    config: Any
    params: dict[str, Any]
    architecture: str
    tokenizer: Tokenizer | None = None
    special: Mapping[str, int] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    task_metadata: Mapping[str, Any] = field(default_factory=dict)
    source_tokenizer: Tokenizer | None = None

    @property
    def family(self) -> Family:
        """Names and outputs of the architecture."""
        return BY_CLASS[self.architecture]

    @property
    def generates(self) -> bool:
        """Whether its class writes text: a decoder or encoder-decoder with its head."""
        heads = ("LMHeadModel", "ForCausalLM", "ForConditionalGeneration", "MTModel")
        return self.module.kind in ("decoder", "encoder_decoder") and self.architecture.endswith(heads)

    @cached_property
    def module(self) -> Network:
        """The network."""
        return build(self.config)

    def __call__(self, **inputs: Any) -> dict[str, np.ndarray]:
        """The outputs of the class `architecture`, compiled for each shape of inputs.

        Args:
            inputs: int [B, L] under Hugging Face's names. input_ids always, decoder_input_ids for an encoder-decoder;
                attention_mask and decoder_attention_mask (0 at padding, on either side), token_type_ids, position_ids.
                XLNet: float perm_mask [B, L, L], target_mapping [B, M, L] and mems [N, T, B, D], an earlier output.

        Returns:
            float32 arrays under Hugging Face's names. At padding, and in what is pooled from it, the numbers mean
            nothing.

        Raises:
            UserError: an input that this class does not take, lacks or has no room for.
        """
        family, name = self.family, self.architecture
        arrays = checked_inputs(inputs, name, family.inputs(name), self.config, family.optional(name))
        family.check(name, arrays, self.special)
        outputs = self._forward(self.device_params, arrays)
        return {name: np.asarray(value, np.float32) for name, value in outputs.items()}

    def generate(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        generation_config: GenerationConfig | None = None,
        **settings: Any,
    ) -> Any:
        """Continues `input_ids` as `transformers` does: see plmjax.decode.generate for the result.

        A setting that is not given is the one of the checkpoint's generation_config.json, or the default of
        GenerationConfig. None in a setting's place leaves the checkpoint's out.

        Args:
            input_ids: int [B, L].
            attention_mask: int [B, L], 0 at padding; None: no padding.
            generation_config: in place of the checkpoint's settings, but for its fields that are None.
            settings: fields of GenerationConfig, in place of both.
        """
        tokens_BL = np.asarray(input_ids, np.int32)
        config = self.generation_config(tokens_BL.shape[1], generation_config, settings)
        return generate(self.bound, tokens_BL, attention_mask, config)

    def generation_config(
        self, prompt: int, generation_config: GenerationConfig | None, settings: Mapping[str, Any]
    ) -> GenerationConfig:
        """The settings of `generate` for prompts of so many tokens."""
        asked = dict(settings)
        if generation_config is not None:
            given = asdict(generation_config)
            asked = {name: value for name, value in given.items() if value is not None} | asked
        whole = merged(self.generation, self.special, self.module.kind, prompt, asked)
        return GenerationConfig().with_settings(**whole)

    @property
    def bound(self) -> Bound:
        """The network with its parameters where they are computed with."""
        return Bound(self.module, self.device_params)

    def __repr__(self) -> str:
        count = sum(np.size(leaf) for leaf in jax.tree.leaves(self.params))
        tokenizer = self.tokenizer
        reads = f"{tokenizer.kind} tokenizer of {tokenizer.vocabulary.size:,} tokens" if tokenizer else "no tokenizer"
        network = type(self.config).__name__.removesuffix("Config")
        return f"{type(self).__name__}({self.architecture}: {network}, {count:,} parameters, {reads})"

    @cached_property
    def device_params(self) -> Any:
        """The parameters where they are computed with."""
        return jax.device_put(self.params)

    @cached_property
    def _forward(self) -> Any:
        run = self.family.forward[self.architecture]
        return jax.jit(lambda params, arrays: run(Bound(self.module, params), arrays, self.special))
