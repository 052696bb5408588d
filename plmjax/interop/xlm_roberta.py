"""XLM-RoBERTa (Conneau et al. 2020): RoBERTa under other names of classes; it has no languages to be told."""

from dataclasses import replace

from plmjax.interop.bert import ROBERTA, choose_roberta

XLM_ROBERTA = replace(
    ROBERTA,
    model_type="xlm-roberta",
    base_model="XLMRobertaModel",
    forward={f"XLM{name}": forward for name, forward in ROBERTA.forward.items()},
    choose=lambda names, stated: f"XLM{choose_roberta(names, stated)}",
    architecture=lambda config: None,  # a network is written as RoBERTa
)
