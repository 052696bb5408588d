"""Networks. Outside this folder they are built by `build` and called through `Bound`, and no one knows Linen.

module = build(config)                      # any family's config
params = module.init(key)["params"]         # plain nested dict of float32 arrays
states = Bound(module, params).encode(tokens_BL, segments_BL=segments_BL)
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
from flax import linen as nn
from jax import Array

from plmjax.errors import UserError
from plmjax.modules import (
    albert,
    bart,
    bart_decoder,
    bart_lm,
    bart_translation,
    bert,
    bert_two_stream,
    ctrl,
    deberta,
    distilbert,
    electra,
    elmo,
    elmo_task,
    gpt,
    gpt3,
    lamda,
    modernbert,
    t5,
    t5_lm,
    t5_shared,
    transformer_xl,
    xlm,
    xlnet,
)
from plmjax.modules.config_checks import check_config
from plmjax.modules.distillation import DistillationConfig, TeacherStudent
from plmjax.modules.generator_discriminator import GeneratorDiscriminator, GeneratorDiscriminatorConfig
from plmjax.modules.heads import TokenHead
from plmjax.modules.network import CompositeNetwork, Network

__all__ = [
    "COMPOSITES",
    "FAMILIES",
    "Bound",
    "Network",
    "NetworkFamily",
    "TokenHead",
    "build",
    "family_of",
    "networks_of",
    "reads_characters",
]


class NetworkFamily(NamedTuple):
    """A kind of network: the config's class, the module's, and the paper's sizes."""

    config: type
    module: type[nn.Module]
    variants: dict[str, Any]


FAMILIES: dict[str, NetworkFamily] = {
    "albert": NetworkFamily(albert.AlbertConfig, albert.Albert, albert.VARIANTS),
    "bart": NetworkFamily(bart.BartConfig, bart.Bart, bart.VARIANTS),
    "bart_decoder": NetworkFamily(
        bart_decoder.BartDecoderConfig, bart_decoder.BartDecoder, bart_decoder.DECODER_VARIANTS
    ),
    "bart_lm": NetworkFamily(bart_lm.BartLMConfig, bart_lm.BartLM, bart_lm.VARIANTS),
    "bart_translation": NetworkFamily(
        bart_translation.BartTranslationConfig, bart_translation.BartTranslation, bart_translation.VARIANTS
    ),
    "bert": NetworkFamily(bert.BertConfig, bert.Bert, bert.VARIANTS),
    "bert_two_stream": NetworkFamily(
        bert_two_stream.BertTwoStreamConfig, bert_two_stream.BertTwoStream, bert_two_stream.VARIANTS
    ),
    "ctrl": NetworkFamily(ctrl.CTRLConfig, ctrl.CTRL, ctrl.VARIANTS),
    "deberta": NetworkFamily(deberta.DebertaConfig, deberta.Deberta, deberta.VARIANTS),
    "distilbert": NetworkFamily(distilbert.DistilBertConfig, distilbert.DistilBert, distilbert.VARIANTS),
    "electra": NetworkFamily(electra.ElectraConfig, electra.Electra, electra.VARIANTS),
    "elmo": NetworkFamily(elmo.ElmoConfig, elmo.Elmo, elmo.VARIANTS),
    "elmo_task": NetworkFamily(elmo_task.ElmoTaskConfig, elmo_task.ElmoTask, elmo_task.VARIANTS),
    "gpt": NetworkFamily(gpt.GPTConfig, gpt.GPT, gpt.VARIANTS),
    "gpt3": NetworkFamily(gpt3.GPT3Config, gpt3.GPT3, gpt3.VARIANTS),
    "gpt_neo": NetworkFamily(gpt3.GPTNeoConfig, gpt3.GPTNeo, gpt3.NEO_VARIANTS),
    "lamda": NetworkFamily(lamda.LamdaConfig, lamda.Lamda, lamda.VARIANTS),
    "marian": NetworkFamily(bart.MarianConfig, bart.Marian, bart.MARIAN_VARIANTS),
    "marian_decoder": NetworkFamily(
        bart_decoder.MarianDecoderConfig, bart_decoder.MarianDecoder, bart_decoder.MARIAN_DECODER_VARIANTS
    ),
    "mbart": NetworkFamily(bart.MBartConfig, bart.MBart, bart.MBART_VARIANTS),
    "mbart_decoder": NetworkFamily(
        bart_decoder.MBartDecoderConfig, bart_decoder.MBartDecoder, bart_decoder.MBART_DECODER_VARIANTS
    ),
    "modernbert": NetworkFamily(modernbert.ModernBertConfig, modernbert.ModernBert, modernbert.VARIANTS),
    "t5": NetworkFamily(t5.T5Config, t5.T5, t5.VARIANTS),
    "t5_lm": NetworkFamily(t5_lm.T5LMConfig, t5_lm.T5LM, t5_lm.VARIANTS),
    "t5_prefix_lm": NetworkFamily(t5_lm.T5PrefixLMConfig, t5_lm.T5PrefixLM, t5_lm.PREFIX_VARIANTS),
    "t5_shared": NetworkFamily(t5_shared.T5SharedConfig, t5_shared.T5Shared, t5_shared.VARIANTS),
    "transformer_xl": NetworkFamily(
        transformer_xl.TransformerXLConfig, transformer_xl.TransformerXL, transformer_xl.VARIANTS
    ),
    "xlm": NetworkFamily(xlm.XLMConfig, xlm.XLM, xlm.VARIANTS),
    "xlnet": NetworkFamily(xlnet.XLNetConfig, xlnet.XLNet, xlnet.VARIANTS),
}


# Networks made of several, each of which is of one of the families.
COMPOSITES: dict[type, type] = {
    GeneratorDiscriminatorConfig: GeneratorDiscriminator,
    DistillationConfig: TeacherStudent,
}


def networks_of(config: Any) -> dict[str, Any]:
    """The networks' configs in a config, by name; a single network's has no name."""
    return dict(config.networks()) if type(config) in COMPOSITES else {"": config}


def family_of(config: Any) -> str:
    """The name in FAMILIES of the family that `config` describes; UserError when there is none."""
    for name, family in FAMILIES.items():
        if type(config) is family.config:
            return name
    raise UserError(f"{type(config).__name__} is no network's config; use one of {', '.join(FAMILIES)}")


def reads_characters(config: Any) -> bool:
    """Whether words come to a network by their characters: its vocabulary is that of its softmax alone."""
    return isinstance(config, elmo.ElmoConfig)


def build(config: Any) -> Network:
    """The module that `config` describes; a composite of modules for the config of a composite.

    Raises:
        UserError: the config is no network's, its vocabulary size is not set, or a field is out of its bounds.
    """
    if type(config) in COMPOSITES:
        return COMPOSITES[type(config)](config, {name: build(one) for name, one in networks_of(config).items()})
    name = family_of(config)
    if config.vocab_size < 1 and not (reads_characters(config) and "token" not in config.heads):
        raise UserError(f"the {name} config's vocab_size is {config.vocab_size}; set it to the rows of its token table")
    check_config(name, config)
    return FAMILIES[name].module(config)


class Bound:
    """A module with its parameters: every public method of the module, to be called with arrays alone.

    Args:
        module: what `build` gave.
        params: `module.init(key)["params"]`.
        dropout_key: turns dropout on; every call folds its number into it, so that no two share their masks.
    """

    def __init__(self, module: Network, params: Any, dropout_key: Array | None = None) -> None:
        self.module = module
        self.params = params
        self._dropout_key = dropout_key
        self._calls = 0

    @property
    def config(self) -> Any:
        """The module's config."""
        return self.module.config

    @property
    def kind(self) -> str:
        """The module's kind."""
        return self.module.kind

    @property
    def is_prefix_lm(self) -> bool:
        """Whether a decoder is to see its inputs whole: what its `decode` calls the prefix."""
        return getattr(self.module, "is_prefix_lm", False)

    def with_params(self, params: Any) -> "Bound":
        """The same with other parameters."""
        return Bound(self.module, params, self._dropout_key)

    def subnetwork(self, name: str) -> "Bound":
        """One network of a composite, with its parameters and dropout of its own."""
        composite = cast(CompositeNetwork, self.module)
        number = 1000 + list(composite.modules).index(name)  # no call of this object has such a number
        active = self._dropout_key is not None and name not in composite.frozen
        key = jax.random.fold_in(self._dropout_key, number) if active else None
        module, params = composite.subnetwork(self.params, name)
        return Bound(module, params, key)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or not callable(getattr(type(self.module), name, None)):
            raise AttributeError(f"{type(self.module).__name__} has no method {name!r}")
        return partial(self._apply, name)

    def _apply(self, method: str, *args: Any, **kwargs: Any) -> Any:
        rngs = None
        if self._dropout_key is not None:
            rngs = {"dropout": jax.random.fold_in(self._dropout_key, self._calls)}
            self._calls += 1
        return self.module.apply({"params": self.params}, *args, method=method, rngs=rngs, **kwargs)
