"""LaMDA (Thoppilan et al. 2022): a decoder of T5's blocks: relative positions and a gated GELU."""

from dataclasses import dataclass, replace

from plmjax.modules.t5_lm import T5LM


@dataclass(slots=True, unsafe_hash=True)
class LamdaConfig:
    """The sizes of a LaMDA; the defaults are the 137B's (Thoppilan et al. 2022, Sec. 3)."""

    vocab_size: int = 0  # rows of the token table; 0 until the vocabulary is known
    num_layers: int = 64
    num_heads: int = 128
    d_model: int = 8192
    d_kv: int = 128  # width of a head; num_heads * d_kv need not be d_model
    d_ff: int = 65536
    gated: bool = True
    activation: str = "gelu_tanh"
    relative_buckets: int = 32
    relative_max_distance: int = 128
    norm_eps: float = 1e-6
    dropout: float = 0.0
    adapter_width: int = 0  # of the adapters of fine-tuning after the feed-forward layers; 0: there are none
    dtype: str = "float32"
    remat: bool = False
    unroll: bool | None = None


class Lamda(T5LM):
    """T5's language model; that its tied head reads the states times D^-1/2 the paper does not say."""

    config: LamdaConfig


_LARGEST = LamdaConfig()

VARIANTS: dict[str, LamdaConfig] = {
    "tiny": replace(_LARGEST, num_layers=2, num_heads=2, d_model=32, d_kv=16, d_ff=64),
    "mini": replace(_LARGEST, num_layers=4, num_heads=4, d_model=128, d_kv=32, d_ff=512),
    "137b": _LARGEST,  # 137B without the token table (32,000 rows)
}
