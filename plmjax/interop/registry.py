"""The registry: one line a family of Hugging Face's models. Where several hold a config, the first counts."""

from typing import Any

from plmjax.errors import UserError
from plmjax.interop import (
    albert,
    bart,
    bert,
    ctrl,
    deberta,
    distilbert,
    electra,
    gpt,
    gpt_neo,
    modernbert,
    native_only,
    t5,
    transfo_xl,
    xlm,
    xlm_roberta,
    xlnet,
)
from plmjax.interop.family import Family
from plmjax.modules import build

ALL = (
    albert.ALBERT,
    bart.BART,
    bart.MARIAN,
    bart.MBART,
    bert.BERT,
    bert.ROBERTA,
    ctrl.CTRL,
    deberta.DEBERTA,
    deberta.DEBERTA_V2,
    distilbert.DISTILBERT,
    electra.ELECTRA,
    gpt.GPT1,
    gpt.GPT2,
    gpt_neo.GPT_NEO,
    modernbert.MODERNBERT,
    t5.T5,
    t5.MT5,
    t5.UMT5,
    transfo_xl.TRANSFO_XL,
    xlm.XLM,
    xlm_roberta.XLM_ROBERTA,
    xlnet.XLNET,
)
FAMILIES: dict[str, Family] = {family.model_type: family for family in ALL}
BY_CLASS: dict[str, Family] = {
    name: family for family in FAMILIES.values() for name in family.forward
} | native_only.ALL


def family_named(model_type: Any, where: Any) -> Family:
    """The family of a `model_type`; UserError for one that plmjax does not read."""
    if str(model_type) not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise UserError(f"{where} has model_type {model_type!r}, which plmjax does not read: it reads {known}.")
    return FAMILIES[model_type]


def architecture_of(config: Any) -> str:
    """The class of `transformers` that holds everything that a network has, else that of plmjax for its kind.

    Raises:
        UserError: networks of its kind are loaded in a way of their own, or the config is no network's.
    """
    for family in (*FAMILIES.values(), *native_only.OWN_FAMILIES):
        if type(config) in family.config_classes and (architecture := family.architecture(config)):
            return architecture
    kind = build(config).kind
    if kind not in native_only.BY_KIND:
        raise UserError(f"A {type(config).__name__} is of kind {kind!r}, which plmjax.load does not read.")
    found = native_only.BY_KIND[kind].architecture(config)
    assert found is not None
    return found
