"""GPT-Neo: GPT-3's alternating dense and banded layers as the `gpt_neo` class of transformers has them."""

from collections.abc import Mapping
from functools import partial

from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family, activation, hf_activation, refuse
from plmjax.interop.gpt import INPUTS, base_model, causal_lm, choose, class_entries, classify
from plmjax.interop.heads import classifier_fields, label_fields
from plmjax.interop.weight_map import LINEAR, SAME, Entry, dense, heads_in, heads_out, layer_norm
from plmjax.modules.gpt3 import GPTNeoConfig

DEFAULTS: JSON = {
    "vocab_size": 50257, "max_position_embeddings": 2048, "hidden_size": 2048, "num_layers": 24,
    "attention_types": [[["global", "local"], 12]], "num_heads": 16, "intermediate_size": None, "window_size": 256,
    "activation_function": "gelu_new", "resid_dropout": 0.0, "embed_dropout": 0.0, "attention_dropout": 0.0,
    "layer_norm_epsilon": 1e-5, "initializer_range": 0.02,
}  # fmt: skip


def table(config: GPTNeoConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """GPT-Neo's names."""
    heads, layers = config.num_heads, config.num_layers
    width = config.d_model // heads
    native, hf = "decoder/layers", "transformer.h.{}"
    attention = f"{hf}.attn.attention"
    return [
        Entry(("embeddings/tokens/embedding",), "transformer.wte.weight", SAME, aliases=("lm_head.weight",)),
        Entry(("embeddings/positions/embedding",), "transformer.wpe.weight", SAME),
        *(
            Entry((f"{native}/attention/{name}/kernel",), f"{attention}.{letter}_proj.weight", kernel, layers)
            for name, letter, kernel in (
                ("query", "q", heads_out(heads, width)),
                ("key", "k", heads_out(heads, width)),
                ("value", "v", heads_out(heads, width)),
            )
        ),
        *dense(f"{native}/attention/out", f"{attention}.out_proj", heads_in(heads, width), layers),
        *dense(f"{native}/mlp/up", f"{hf}.mlp.c_fc", LINEAR, layers),
        *dense(f"{native}/mlp/down", f"{hf}.mlp.c_proj", LINEAR, layers),
        *layer_norm(f"{native}/attention_norm", f"{hf}.ln_1", layers),
        *layer_norm(f"{native}/mlp_norm", f"{hf}.ln_2", layers),
        *layer_norm("decoder/final_norm", "transformer.ln_f"),
        *class_entries(config),
    ]


def read_config(given: JSON, names: set[str]) -> GPTNeoConfig:
    """The config of plmjax; UserError for layers that are neither global nor local, or not as many as `num_layers`."""
    c = DEFAULTS | given
    refuse(given, "embed_dropout", c["resid_dropout"])
    kinds = [kind for pattern, times in c["attention_types"] for _ in range(times) for kind in pattern]
    if len(kinds) != c["num_layers"] or not set(kinds) <= {"global", "local"}:
        raise UserError(
            f"config.json has attention_types = {c['attention_types']}: it must give 'global' or 'local' for each of "
            f"the {c['num_layers']} layers."
        )
    return GPTNeoConfig(
        vocab_size=c["vocab_size"],
        max_positions=c["max_position_embeddings"],
        num_layers=c["num_layers"],
        num_heads=c["num_heads"],
        d_model=c["hidden_size"],
        d_ff=c["intermediate_size"] or 4 * c["hidden_size"],
        bands=shortest_turn(tuple(c["window_size"] if kind == "local" else 0 for kind in kinds)),
        activation=activation(c["activation_function"], "activation_function"),
        norm_eps=c["layer_norm_epsilon"],
        dropout=c["resid_dropout"],
        attention_dropout=c["attention_dropout"],
        init_std=c["initializer_range"],
        **classifier_fields(c, "score.weight" in names),
    )


def shortest_turn(bands: tuple[int, ...]) -> tuple[int, ...]:
    """The shortest pattern whose repetition is `bands`."""
    lengths = (length for length in range(1, len(bands) + 1) if len(bands) % length == 0)
    return next(bands[:length] for length in lengths if bands[:length] * (len(bands) // length) == bands)


def write_config(config: GPTNeoConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json; UserError for bands of several widths, which Hugging Face's class can't have."""
    widths = {band for band in config.bands if band}
    if len(widths) > 1:
        raise UserError(
            f"Hugging Face's GPT-Neo has one window for all local layers, but this network has {sorted(widths)}: "
            "it can't "
            "be exported."
        )
    turn = ["local" if band else "global" for band in config.bands]
    layers = [turn[number % len(turn)] for number in range(config.num_layers)]
    turns, rest = divmod(config.num_layers, len(turn))
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "attention_types": [[layers, 1]] if rest else [[turn, turns]],
        "attention_layers": layers,
        "window_size": max(widths, default=256),
        "activation_function": hf_activation(config.activation),
        "layer_norm_epsilon": config.norm_eps,
        "resid_dropout": config.dropout,
        "embed_dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "initializer_range": config.init_std,
    } | label_fields(config)


GPT_NEO = Family(
    model_type="gpt_neo",
    prefix="transformer.",
    base_model="GPTNeoModel",
    forward={"GPTNeoModel": base_model, "GPTNeoForCausalLM": causal_lm, "GPTNeoForSequenceClassification": classify},
    inputs=lambda architecture: INPUTS,
    ignored=r"h\.\d+\.attn\.attention\.(bias|masked_bias)",
    read_config=read_config,
    write_config=write_config,
    table=table,
    choose=partial(choose, head="GPTNeoForCausalLM", classifier="GPTNeoForSequenceClassification"),
    special={"bos_token_id": 50256, "eos_token_id": 50256},
    config_classes=(GPTNeoConfig,),
    architecture=lambda config: (
        "GPTNeoForSequenceClassification" if "sequence_classification" in config.heads else "GPTNeoForCausalLM"
    ),
)
