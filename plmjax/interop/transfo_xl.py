"""Transformer-XL, as transformers has it up to version 4.

Legend: B batch, L length, T memory, D model width, E embedding width, H heads, K head width, N layers.
"""

from collections.abc import Mapping
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family, Outputs, refuse
from plmjax.interop.weight_map import LINEAR, SAME, Entry, Transform, dense, heads_in, heads_out, layer_norm
from plmjax.modules import Bound
from plmjax.modules.memory import Memory
from plmjax.modules.network import RecurrentNetwork
from plmjax.modules.transformer_xl import TransformerXLConfig

DEFAULTS: JSON = {
    "vocab_size": 267735, "cutoffs": [20000, 40000, 200000], "d_model": 1024, "d_embed": 1024, "n_head": 16,
    "d_head": 64, "d_inner": 4096, "div_val": 4, "pre_lnorm": False, "n_layer": 18, "mem_len": 1600, "clamp_len": 1000,
    "same_length": True, "proj_share_all_but_first": True, "dropout": 0.1, "dropatt": 0.0, "untie_r": True,
    "init_std": 0.02, "proj_init_std": 0.01, "layer_norm_epsilon": 1e-5,
}  # fmt: skip


def fused(heads: int, width: int) -> Transform:
    """Query, key and value in one linear map: Hugging Face's [3 * H * K, D], plmjax's three [D, H, K]."""
    return Transform(
        lambda x: [part.T.reshape(-1, heads, width) for part in np.split(x, 3)],
        lambda native: np.concatenate([part.reshape(-1, heads * width).T for part in native]),
    )


def table(config: TransformerXLConfig, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """Transformer-XL's names."""
    heads, width, layers = config.num_heads, config.head_width, config.num_layers
    native, hf = "decoder/layers", "transformer.layers.{}"
    attention = f"{hf}.dec_attn"
    query_key_value = tuple(f"{native}/attention/{name}/kernel" for name in ("query", "key", "value"))
    entries = [
        Entry(query_key_value, f"{attention}.qkv_net.weight", fused(heads, width), layers),
        Entry((f"{native}/attention/position/kernel",), f"{attention}.r_net.weight", heads_out(heads, width), layers),
        Entry((f"{native}/attention/out/kernel",), f"{attention}.o_net.weight", heads_in(heads, width), layers),
        *layer_norm(f"{native}/attention_norm", f"{attention}.layer_norm", layers),
        *dense(f"{native}/mlp/up", f"{hf}.pos_ff.CoreNet.0", LINEAR, layers),
        *dense(f"{native}/mlp/down", f"{hf}.pos_ff.CoreNet.3", LINEAR, layers),
        *layer_norm(f"{native}/mlp_norm", f"{hf}.pos_ff.layer_norm", layers),
    ]
    for path, name in (("content_bias", "r_w_bias"), ("position_bias", "r_r_bias")):
        if config.tie_biases:
            # Hugging Face's class names what all layers share once more in each layer, and wants to read it there too.
            names = [f"transformer.{name}", *(f"transformer.layers.{i}.dec_attn.{name}" for i in range(layers))]
            entries += [Entry((f"decoder/biases/{path}",), one, SAME) for one in names]
        else:
            entries.append(Entry((f"{native}/attention/biases/{path}",), f"{attention}.{name}", SAME, layers))
    return entries + _embeddings(config) + (_head(config) if "token" in config.heads else [])


def _embeddings(config: TransformerXLConfig) -> list[Entry]:
    clusters, hf = config.clusters(), "transformer.word_emb"
    entries = []
    for number in range(len(clusters.widths())):
        native = "embeddings/tokens" + (f"_{number}" if clusters.divisor > 1 else "")
        alias = (f"crit.out_layers.{number}.weight",)
        entries.append(Entry((f"{native}/embedding",), f"{hf}.emb_layers.{number}.weight", SAME, 0, alias))
        if clusters.projects(config.d_model):
            after_first = range(1, len(config.cutoffs) + 1)
            alike = [other for other in after_first if clusters.divisor == 1 or other == number]
            tied = tuple(f"crit.out_projs.{other}" for other in alike) if config.tie_projections else ()
            path = f"embeddings/projection_{number}/kernel"
            entries.append(Entry((path,), f"{hf}.emb_projs.{number}", LINEAR, 0, tied))
    return entries


def _head(config: TransformerXLConfig) -> list[Entry]:
    clusters = config.clusters()
    entries = []
    for number in range(len(clusters.widths())):
        native = "token_head/bias" + (f"_{number}" if clusters.divisor > 1 else "")
        entries.append(Entry((native,), f"crit.out_layers.{number}.bias", SAME))
    if clusters.projects(config.d_model):
        own = range(1 if config.tie_projections else len(config.cutoffs) + 1)
        entries += [Entry((f"token_head/projection_{n}/kernel",), f"crit.out_projs.{n}", SAME) for n in own]
    if config.cutoffs:
        entries.append(Entry(("token_head/clusters/embedding",), "crit.cluster_weight", SAME))
        entries.append(Entry(("token_head/clusters/bias",), "crit.cluster_bias", SAME))
    return entries


def read_config(given: JSON, names: set[str]) -> TransformerXLConfig:
    """The config of plmjax; it has the token head where its tensors are there."""
    refuse(given, "attn_type", 0)
    refuse(given, "tie_word_embeddings", True)
    c = DEFAULTS | given
    # What Hugging Face keeps of proj_share_all_but_first in the file is which clusters' projections it tied.
    tied = set(given["tie_projs"][1:]) if len(given.get("tie_projs", ())) > 1 else {c["proj_share_all_but_first"]}
    if len(tied) > 1 or given.get("tie_projs", [False])[0]:
        raise UserError(
            f"config.json has tie_projs = {given['tie_projs']}, which plmjax's network does not support: all but "
            "the first "
            "must be tied, or none."
        )
    return TransformerXLConfig(
        vocab_size=c["vocab_size"],
        num_layers=c["n_layer"],
        num_heads=c["n_head"],
        head_width=c["d_head"],
        d_model=c["d_model"],
        d_ff=c["d_inner"],
        d_embed=c["d_embed"],
        cutoffs=tuple(c["cutoffs"]),
        embed_divisor=c["div_val"],
        tie_projections=tied.pop(),
        norm="pre" if c["pre_lnorm"] else "post",
        norm_eps=c["layer_norm_epsilon"],
        dropout=c["dropout"],
        attention_dropout=c["dropatt"],
        init_std=c["init_std"],
        projection_init_std=c["proj_init_std"],
        tie_biases=not c["untie_r"],
        memory_length=c["mem_len"],
        same_length=c["same_length"],
        clamp=max(c["clamp_len"], 0),
        heads=("token",) if any(name.startswith("crit.") for name in names) else (),
    )


def write_config(config: TransformerXLConfig, special: Mapping[str, int]) -> JSON:
    """The fields of config.json."""
    if config.activation != "relu":
        raise UserError(
            f"Hugging Face's Transformer-XL has the activation 'relu': one with {config.activation!r} can't be "
            "exported."
        )
    return {
        "vocab_size": config.vocab_size,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "d_head": config.head_width,
        "d_model": config.d_model,
        "d_inner": config.d_ff,
        "d_embed": config.d_embed or config.d_model,
        "cutoffs": list(config.cutoffs),
        "div_val": config.embed_divisor,
        "proj_share_all_but_first": config.tie_projections,
        "tie_projs": [False] + [config.tie_projections] * len(config.cutoffs),
        "pre_lnorm": config.norm == "pre",
        "layer_norm_epsilon": config.norm_eps,
        "dropout": config.dropout,
        "dropatt": config.attention_dropout,
        "init_std": config.init_std,
        "proj_init_std": config.projection_init_std,
        "untie_r": not config.tie_biases,
        "mem_len": config.memory_length,
        "same_length": config.same_length,
        "clamp_len": config.clamp or -1,
    }


def segment(network: Bound, inputs: dict[str, Array]) -> tuple[Array, Outputs]:
    """States of a segment and the output `mems` [N, T, B, D]. Without `mems` it follows states of zeros."""
    rows, memory_NTBD = len(inputs["input_ids"]), inputs.get("mems")
    memory: Memory = cast(RecurrentNetwork, network.module).init_memory(rows, network.config.memory_length)
    if memory_NTBD is not None:
        memory = memory._replace(states=jnp.moveaxis(memory_NTBD, 2, 0))
    filled = jnp.ones((rows, memory.states.shape[2]), jnp.bool_)
    x_BLD, after = network.decode_after(inputs["input_ids"], memory._replace(filled=filled))
    return x_BLD, {"mems": jnp.moveaxis(after.states, 0, 2)} if network.config.memory_length else {}


def base_model(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """The last layer's states."""
    x_BLD, mems = segment(network, inputs)
    return {"last_hidden_state": x_BLD} | mems


def language_model(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Hugging Face's prediction scores: log probabilities."""
    x_BLD, mems = segment(network, inputs)
    return {"prediction_scores": jax.nn.log_softmax(network.token_logits(x_BLD))} | mems


def choose(names: set[str], stated: str | None) -> str:
    """The language model where its tensors are there."""
    return "TransfoXLLMHeadModel" if any(name.startswith("crit.") for name in names) else "TransfoXLModel"


def frequencies(config: TransformerXLConfig, architecture: str) -> dict[str, np.ndarray]:
    """The frequencies of the sinusoids, which Hugging Face's class keeps among its tensors."""
    rising = np.arange(0, config.d_model, 2, dtype=np.float32) / np.float32(config.d_model)
    return {"transformer.pos_emb.inv_freq": (1 / np.float32(10000) ** rising).astype(np.float32)}


TRANSFO_XL = Family(
    model_type="transfo-xl",
    prefix="transformer.",
    base_model="TransfoXLModel",
    forward={"TransfoXLModel": base_model, "TransfoXLLMHeadModel": language_model},
    inputs=lambda architecture: ("input_ids", "mems"),
    ignored=r"(transformer\.)?pos_emb\.inv_freq",
    read_config=read_config,
    write_config=write_config,
    table=table,
    choose=choose,
    special={"eos_token_id": 0},
    config_classes=(TransformerXLConfig,),
    architecture=lambda config: "TransfoXLLMHeadModel" if "token" in config.heads else "TransfoXLModel",
    constants=frequencies,
)
