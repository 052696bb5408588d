"""A network with its parameters and tokenizer, called as `transformers` calls it.

Legend: B batch, L length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.interop.family import Family
from plmjax.interop.inputs import checked_inputs
from plmjax.interop.registry import BY_CLASS
from plmjax.modules import Bound, build


@dataclass(frozen=True, eq=False)
class Pretrained:
    """What `load_huggingface` and `plmjax.load` give.

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
    def module(self) -> nn.Module:
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
        self, input_ids: Any, attention_mask: Any = None, *, max_new_tokens: int | None = None, **options: Any
    ) -> Any:
        """Continues `input_ids` as `transformers` does: see plmjax.decode.generate for the options and the result.

        What is not given is as the checkpoint's generation_config.json says, or 20 new tokens where neither says it.
        None in a setting's place leaves the checkpoint's out.

        A string in the place of `input_ids` gives a string, and a list of them a list: what a decoder writes after the
        text, and what an encoder-decoder makes of it. mBART's languages are `source` and `target`. With
        num_return_sequences over 1 there is a list for each text.
        """
        if isinstance(input_ids, str) or (isinstance(input_ids, (list, tuple)) and isinstance(input_ids[0], str)):
            from plmjax.pipelines import generate as write

            asked = options if max_new_tokens is None else options | {"max_new_tokens": max_new_tokens}
            return write(self, input_ids, **asked)
        from plmjax.decode import generate
        from plmjax.interop.generation import settings

        tokens_BL = np.asarray(input_ids, np.int32)
        asked = options if max_new_tokens is None else options | {"max_new_tokens": max_new_tokens}
        keywords = settings(self.generation, self.special, self.module.kind, tokens_BL.shape[1], asked)
        return generate(Bound(self.module, self.device_params), tokens_BL, attention_mask, **keywords)

    def classify(self, texts: str | Sequence[str], pairs: str | Sequence[str] | None = None) -> Any:
        """The label of each text, or pair of texts, with every label's probability: plmjax.pipelines.Labelling.

        A network that was taught numbers gives a float instead. A string gives one result, a list of them a list; so do
        the other methods.

        Raises:
            UserError: the checkpoint was not taught it, or a text is empty or too long; so do the other methods.
        """
        from plmjax.pipelines import classify

        return classify(self, texts, pairs)

    def tag(self, texts: str | Sequence[str] | Sequence[Sequence[str]]) -> Any:
        """The words with their tags, and the entities that these make: plmjax.pipelines.Tagged.

        A string is parted at its blanks. A list of strings is the words of one text, a list of lists of several.
        """
        from plmjax.pipelines import tag

        return tag(self, texts)

    def answer(self, questions: str | Sequence[str], contexts: str | Sequence[str]) -> Any:
        """The part of a context that answers a question: pipelines.Found; one context may serve all questions."""
        from plmjax.pipelines import answer

        return answer(self, questions, contexts)

    def choose(self, contexts: str | Sequence[str], choices: Sequence[Any]) -> Any:
        """The likeliest of the choices after a context: pipelines.Chosen; a list of contexts takes a list for each.

        There are as many choices as it was taught. What stood before each of them, such as a question, is part of it.
        """
        from plmjax.pipelines import choose

        return choose(self, contexts, choices)

    def fill_mask(self, texts: str | Sequence[str], top_k: int = 5) -> Any:
        """The likeliest tokens at each [MASK] or <mask> of a text: a list of plmjax.decode.fill.Candidate for each.

        An encoder-decoder with sentinels fills <extra_id_0> and so on, or ___: plmjax.decode.fill.Filled.
        """
        from plmjax.pipelines import fill_mask

        return fill_mask(self, texts, top_k)

    @cached_property
    def reading(self) -> Any:
        """(wish, kinds of tasks) -> plmjax.pipelines.predictor.Reading, made once, as it holds compiled programs."""
        from plmjax.pipelines.predictor import Readings

        return Readings(self)

    @cached_property
    def device_params(self) -> Any:
        """The parameters where they are computed with."""
        return jax.device_put(self.params)

    @cached_property
    def _forward(self) -> Any:
        run = self.family.forward[self.architecture]
        return jax.jit(lambda params, arrays: run(Bound(self.module, params), arrays, self.special))
