"""Any network under any objective that its kind can carry, at the size of the small runs.

    python -m experiments.pretrain --config=experiments/configs/combine.py:NETWORK+OBJECTIVE

for instance `combine.py:deberta+replaced_tokens` or `combine.py:albert+spanbert`, on the store runs/english (2 CPU
cores, about 3 minutes; not measured). docs/reference/matrix.md shows what goes together; a wrong name lists it too.

An encoder becomes what an objective asks for: replaced-token detection and its like make a pair of it, with a generator
of half the layers and shared embeddings; distillation makes it the student of runs/bert_teacher (see distilbert.py).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

from experiments.configs import (
    albert,
    bart,
    bart_rivals,
    bert,
    ctrl,
    deberta,
    distilbert,
    electra,
    elmo,
    gpt,
    gpt2,
    gpt3,
    lamda,
    marian,
    mbart,
    modernbert,
    roberta,
    t5,
    t5_architectures,
    transformer_xl,
    ul2,
    xlm,
    xlnet,
)
from experiments.configs.common import ENGLISH, pick
from plmjax.data.tokenizers.vocabulary import SPECIAL_NAMES, Vocabulary, make_vocabulary
from plmjax.errors import UserError
from plmjax.modules import FAMILIES
from plmjax.modules.distillation import DistillationConfig
from plmjax.modules.generator_discriminator import GeneratorDiscriminatorConfig
from plmjax.objectives import OBJECTIVES
from plmjax.train.config import Config, OptimizerConfig, TrainConfig
from plmjax.train.resolve import resolve


def rival(name: str) -> Any:
    """The network of a rival of BART's."""
    return bart_rivals.run("mini", name).model


def architecture(name: str) -> Any:
    """The network of an architecture of T5's."""
    return t5_architectures.run("mini", name, "denoising").model


# The small network of each family, by the name that people call it.
NETWORKS: dict[str, Callable[[], Any]] = {
    "bert": lambda: bert.mini().model,
    "roberta": lambda: roberta.mini().model,
    "albert": lambda: albert.mini().model,
    "electra": lambda: replace(electra.MINI),
    "distilbert": lambda: distilbert.mini().model.student,
    "deberta": lambda: deberta.mini().model,
    "modernbert": lambda: modernbert.mini().model,
    "xlm": lambda: xlm.get_config("mini_mlm").model,
    "xlnet": lambda: xlnet.mini().model,
    "bert_two_stream": lambda: rival("masked_lm"),
    "gpt": lambda: replace(gpt.get_config("tiny").model, max_positions=128),
    "gpt2": lambda: gpt2.mini().model,
    "gpt3": lambda: gpt3.mini().model,
    "ctrl": lambda: ctrl.mini().model,
    "lamda": lambda: lamda.mini().model,
    "transformer_xl": lambda: transformer_xl.mini().model,
    "xlm_causal": lambda: xlm.get_config("mini_clm").model,
    "bart_lm": lambda: rival("lm"),
    "t5_lm": lambda: architecture("decoder"),
    "t5_prefix_lm": lambda: architecture("prefix_decoder"),
    "t5": lambda: t5.mini().model,
    "t5_shared": lambda: architecture("shared"),
    "bart": lambda: bart.mini().model,
    "mbart": lambda: mbart.mini().model,
    "marian": lambda: marian.mini().model,
    "elmo": lambda: elmo.mini().model,
}
# Where an objective needs more than plain English.
STORES = {
    "conditional_lm": ctrl.CODED,
    "mixture_of_denoisers": ul2.ENGLISH_WITH_MODES,
    "multilingual_denoising": mbart.THREE_LANGUAGES,
    "translation": marian.CAPTIONS,
    "cross_lingual_causal_lm": xlm.THREE_LANGUAGES,
    "cross_lingual_lm": xlm.THREE_LANGUAGES,
}
MADE_OF_ENCODERS = (("generator_discriminator",), ("distillation",))  # kinds that an encoder is made into
LANGUAGES = ("en", "de", "fr")
STEPS = 1_000


def get_config(variant: str = "bert+masked_lm") -> Config:
    """The run of `network+objective`."""
    return pick({f"{network}+{name}": partial(run, network, name) for network, name in allowed()}, variant)


@cache
def allowed() -> tuple[tuple[str, str], ...]:
    """Every (network, objective) whose kinds fit, networks in the order of NETWORKS."""
    return tuple((network, name) for network in NETWORKS for name in OBJECTIVES if fits(network, name))


def fits(network: str, objective: str) -> bool:
    """Whether the objective's own check takes the network, as a run of theirs would be resolved on an ample store."""
    kind, kinds = kind_of(NETWORKS[network]()), kinds_of(objective)
    if kind not in kinds and not (kind == "encoder" and kinds in MADE_OF_ENCODERS):
        return False
    config = run(network, objective)
    if kinds == ("distillation",):
        config.model.teacher = bert.mini().model
    try:
        resolve(config, ample_vocabulary(), None, LANGUAGES)
    except UserError:
        return False
    return True


@cache
def ample_vocabulary() -> Vocabulary:
    """A vocabulary with every token that an objective asks for."""
    size, first = 2048, len(SPECIAL_NAMES)
    languages, modes = range(first, first + 3), range(first + 3, first + 6)
    vocabulary = make_vocabulary(
        size,
        {name: token for token, name in enumerate(SPECIAL_NAMES)},
        sentinels=range(size - 1, size - 201, -1),
        others=(*languages, *modes),
        word_start=[token % 2 == 0 for token in range(size)],
        named=dict(zip(ul2.MODES, modes, strict=True)),
        pieces=["x"] * size,
    )
    return replace(vocabulary, language_tokens=tuple(languages))


def kinds_of(objective: str) -> tuple[str, ...]:
    """The kinds of network that carry an objective."""
    made: Any = OBJECTIVES[objective]
    return made.kinds


def kind_of(config: Any) -> str:
    """The kind of a network's module."""
    module: Any = next(family.module for family in FAMILIES.values() if family.config is type(config))
    return module(config).kind


def run(network: str, objective: str) -> Config:
    """The network, made into what the objective asks for, under its default settings."""
    model, made = NETWORKS[network](), OBJECTIVES[objective]()
    if made.kinds == ("bidirectional",):
        made.window.characters = model.characters
    if made.kinds == ("generator_discriminator",):
        model = GeneratorDiscriminatorConfig(model, replace(model, num_layers=max(1, model.num_layers // 2)))
    if made.kinds == ("distillation",):
        start = "teacher" if network == "distilbert" else "random"
        model = DistillationConfig(model, teacher_from="runs/bert_teacher", initialise=start)
    return Config(
        name=f"{network}+{objective}",
        model=model,
        objective=made,
        data=replace(STORES.get(objective, ENGLISH)),
        train=TrainConfig(steps=STEPS, batch_size=16, length=64, log_every=100, eval_every=250),
        optimizer=OptimizerConfig(
            learning_rate=1.5e-3, warmup_steps=100, b2=0.98, eps=1e-6, weight_decay=0.01, clip_norm=1.0
        ),
    )


def table() -> str:
    """What goes together, as Markdown: a row an objective, a column a network."""
    networks = list(NETWORKS)
    lines = [f"| objective | {' | '.join(networks)} |", "|---" * (len(networks) + 1) + "|"]
    for name in OBJECTIVES:
        cells = ["yes" if fits(network, name) else "-" for network in networks]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
