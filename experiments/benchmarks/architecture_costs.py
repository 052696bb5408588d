"""What T5's architectures have and take, counted from shapes and traced programs."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plmjax.modules import Bound, build
from plmjax.objectives.sequences import states_in_one_row, states_in_two
from plmjax.train.flops import forward_flops

# Table 2: parameters in stacks (P), FLOPs in those of the encoder-decoder (M).
PAPER = {
    "encoder_decoder": ("2P", "M"),
    "shared": ("P", "M"),
    "half": ("P", "M/2"),
    "decoder": ("P", "M"),
    "prefix_decoder": ("P", "M"),
}


class Cost(NamedTuple):
    """Parameters of the layers and of the token table; FLOPs of the layers and of the scores of the targets."""

    layers: int
    table: int
    layer_flops: float
    head_flops: float


def cost(config: Any, inputs: int, targets: int, rows: int) -> Cost:
    """What a network of T5's has and takes for one example of so many inputs and targets."""
    config.vocab_size, config.unroll = rows, False  # a loop is traced once
    module = build(config)
    params = jax.eval_shape(module.init, jax.random.key(0))["params"]
    sizes = {name: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) for name, tree in params.items()}
    read = states_in_one_row if module.kind == "decoder" else states_in_two
    batch = {
        name: jax.ShapeDtypeStruct((1, length), jnp.int32)
        for length, names in (
            (inputs, ("tokens", "positions", "segments")),
            (targets, ("targets", "decoder_tokens", "decoder_segments")),
        )
        for name in names
    }
    states = jax.ShapeDtypeStruct((1, targets, config.d_model), jnp.float32)
    return Cost(
        layers=sum(sizes.values()) - sizes["embeddings"],
        table=sizes["embeddings"],
        layer_flops=forward_flops(lambda params, batch: read(Bound(module, params), batch), params, batch),
        head_flops=forward_flops(lambda params, x: Bound(module, params).token_logits(x), params, states),
    )


def table(costs: dict[str, Cost]) -> str:
    """The counts as Markdown, each beside the paper's."""
    stack, whole = costs["decoder"], costs["encoder_decoder"].layer_flops
    lines = [
        "| architecture | layers | of P | with the table | of P with it | Table 2 | GFLOPs | of M | Table 2 |",
        "|---" * 9 + "|",
    ]
    for name, one in costs.items():
        parameters, flops = PAPER[name]
        lines.append(
            f"| {name} | {one.layers / 1e6:.1f}M | {one.layers / stack.layers:.2f} | "
            f"{(one.layers + one.table) / 1e6:.1f}M | {(one.layers + one.table) / (stack.layers + stack.table):.2f} | "
            f"{parameters} | {one.layer_flops / 1e9:.1f} | {one.layer_flops / whole:.2f} | {flops} |"
        )
    return "\n".join(lines)
