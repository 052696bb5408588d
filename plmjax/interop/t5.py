"""T5 1.0 and 1.1. Legend: H heads, K head width, N layers."""

from collections.abc import Mapping

from jax import Array

from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family, Outputs, activation, refuse, their_activation
from plmjax.interop.tables import LINEAR, SAME, Entry, Transform, heads_in, heads_out
from plmjax.modules import Bound
from plmjax.modules.t5 import T5Config

DEFAULTS: JSON = {
    "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8,
    "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "dropout_rate": 0.1,
    "layer_norm_epsilon": 1e-6, "feed_forward_proj": "relu", "tie_word_embeddings": True,
}  # fmt: skip
ENCODER_ONLY = "T5EncoderModel"
ENCODER_INPUTS = ("input_ids", "attention_mask")
DECODER_INPUTS = ("decoder_input_ids", "decoder_attention_mask")


def stack(config: T5Config, name: str) -> list[Entry]:
    """One stack; the relative biases are stored in its first block."""
    decoder = name == "decoder"
    layers = config.num_decoder_layers if decoder else config.num_layers
    ours, theirs = f"{name}/layers", f"{name}.block.{{}}.layer"
    first = f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    entries = [
        Entry((f"{name}/relative_bias/embedding",), first, SAME),
        Entry((f"{name}/final_norm/scale",), f"{name}.final_layer_norm.weight", SAME),
        *_attention(config, f"{ours}/attention", f"{theirs}.0.SelfAttention", layers),
        Entry((f"{ours}/attention_norm/scale",), f"{theirs}.0.layer_norm.weight", SAME, layers),
    ]
    if decoder:
        entries += _attention(config, f"{ours}/cross_attention", f"{theirs}.1.EncDecAttention", layers)
        entries.append(Entry((f"{ours}/cross_norm/scale",), f"{theirs}.1.layer_norm.weight", SAME, layers))
    last = f"{theirs}.{2 if decoder else 1}"
    # Their wi_0 goes through the activation: our gate.
    inward = {"gate": "wi_0", "up": "wi_1"} if config.gated else {"up": "wi"}
    entries += [
        _kernel(f"{ours}/mlp/{path}", f"{last}.DenseReluDense.{theirs_}", LINEAR, layers)
        for path, theirs_ in (inward | {"down": "wo"}).items()
    ]
    return [*entries, Entry((f"{ours}/mlp_norm/scale",), f"{last}.layer_norm.weight", SAME, layers)]


def _attention(config: T5Config, path: str, name: str, layers: int) -> list[Entry]:
    heads, width = config.num_heads, config.d_kv
    split = [("query", "q"), ("key", "k"), ("value", "v")]
    entries = [_kernel(f"{path}/{ours}", f"{name}.{theirs}", heads_out(heads, width), layers) for ours, theirs in split]
    return [*entries, _kernel(f"{path}/out", f"{name}.o", heads_in(heads, width), layers)]


def _kernel(path: str, name: str, transform: Transform, layers: int) -> Entry:
    return Entry((f"{path}/kernel",), f"{name}.weight", transform, layers)


def table(config: T5Config, architecture: str, special: Mapping[str, int]) -> list[Entry]:
    """T5's names."""
    aliases: tuple[str, ...] = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    if config.tied:
        aliases += ("lm_head.weight",)
    entries = [
        Entry(("embeddings/tokens/embedding",), "shared.weight", SAME, aliases=aliases),
        *stack(config, "encoder"),
    ]
    if architecture != ENCODER_ONLY:
        entries += stack(config, "decoder")
    if architecture == "T5ForConditionalGeneration" and not config.tied:
        entries.append(Entry(("token_head/embedding",), "lm_head.weight", SAME))
    return entries


def read_config(given: JSON, names: set[str]) -> T5Config:
    """Our config."""
    refuse(given, "is_decoder", False)
    c = DEFAULTS | given
    projection = c["feed_forward_proj"]
    gated = projection.startswith("gated-")
    # Theirs takes "gated-gelu" for the tanh form, as the 1.1 checkpoints were trained.
    act = (
        "gelu_tanh"
        if projection == "gated-gelu"
        else activation(projection.removeprefix("gated-"), "feed_forward_proj")
    )
    return T5Config(
        vocab_size=c["vocab_size"],
        num_layers=c["num_layers"],
        num_decoder_layers=c.get("num_decoder_layers") or c["num_layers"],
        num_heads=c["num_heads"],
        d_model=c["d_model"],
        d_kv=c["d_kv"],
        d_ff=c["d_ff"],
        gated=gated,
        activation=act,
        tied=c["tie_word_embeddings"],
        relative_buckets=c["relative_attention_num_buckets"],
        relative_max_distance=c["relative_attention_max_distance"],
        norm_eps=c["layer_norm_epsilon"],
        dropout=c["dropout_rate"],
    )


def write_config(config: T5Config, special: Mapping[str, int]) -> JSON:
    """config.json of our config."""
    projection = their_activation(config.activation)
    if config.gated:
        if projection == "gelu":
            raise UserError(
                "Hugging Face's gated T5 has no exact GELU, only the tanh form: the network can't be exported."
            )
        projection = "gated-gelu" if projection == "gelu_new" else f"gated-{projection}"
    return {
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "d_kv": config.d_kv,
        "d_ff": config.d_ff,
        "num_layers": config.num_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "num_heads": config.num_heads,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "dropout_rate": config.dropout,
        "layer_norm_epsilon": config.norm_eps,
        "feed_forward_proj": projection,
        "tie_word_embeddings": config.tied,
        "is_encoder_decoder": True,
    }


def states(network: Bound, inputs: dict[str, Array]) -> tuple[Array, Array]:
    """The decoder's states [B, L, D] and the memory [B, S, D]."""
    mask = inputs.get("attention_mask")
    memory_BSD = network.encode(inputs["input_ids"], None, mask)
    x_BLD = network.decode(inputs["decoder_input_ids"], memory_BSD, mask, None, inputs.get("decoder_attention_mask"))
    return x_BLD, memory_BSD


def bare(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """The states of both stacks."""
    x_BLD, memory_BSD = states(network, inputs)
    return {"last_hidden_state": x_BLD, "encoder_last_hidden_state": memory_BSD}


def encoder(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """The encoder's states."""
    return {"last_hidden_state": network.encode(inputs["input_ids"], None, inputs.get("attention_mask"))}


def conditional_generation(network: Bound, inputs: dict[str, Array], special: Mapping[str, int]) -> Outputs:
    """Scores of the next token, and the memory."""
    x_BLD, memory_BSD = states(network, inputs)
    return {"logits": network.token_logits(x_BLD), "encoder_last_hidden_state": memory_BSD}


def choose(names: set[str], stated: str | None) -> str:
    """The class that the tensors make up; a tied head leaves none, and is there unless T5Model is stated."""
    if stated and "lm_head.weight" not in names:
        return stated
    has_decoder = any(name.startswith("decoder.block.") for name in names)
    return "T5ForConditionalGeneration" if has_decoder else ENCODER_ONLY


T5 = Family(
    model_type="t5",
    prefix="",
    bare="T5Model",
    forward={
        "T5Model": bare,
        ENCODER_ONLY: encoder,
        "T5ForConditionalGeneration": conditional_generation,
    },
    inputs=lambda architecture: ENCODER_INPUTS if architecture == ENCODER_ONLY else ENCODER_INPUTS + DECODER_INPUTS,
    # Early checkpoints carry relative biases of the cross-attention, which nothing reads.
    ignored=r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
    read_config=read_config,
    write_config=write_config,
    table=table,
    choose=choose,
    special={"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0},
    ours=T5Config,
    architecture=lambda config: "T5ForConditionalGeneration",
)
