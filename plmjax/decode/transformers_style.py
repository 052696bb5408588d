"""`generate` under the names, and with the results, of Hugging Face `transformers`."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import numpy as np
from flax import linen as nn

from plmjax.decode.continuation import continue_tokens
from plmjax.decode.sampling import GREEDY, Sampling
from plmjax.modules import Bound


class PretrainedLike(Protocol):
    """What `generate` needs of a loaded checkpoint."""

    module: nn.Module
    params: Any


def generate(
    pretrained: PretrainedLike,
    input_ids: np.ndarray,
    attention_mask: np.ndarray | None = None,
    *,
    max_new_tokens: int = 20,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    eos_token_id: int | None = None,
    pad_token_id: int | None = None,
    decoder_start_token_id: int | None = None,
    size: int | None = None,
) -> np.ndarray:
    """Continues `input_ids`, greedily or by sampling.

    Args:
        pretrained: a decoder or encoder-decoder with its parameters.
        input_ids: int [B, L].
        attention_mask: int [B, L], 0 at padding, which may stand at either end; None: no padding.
        max_new_tokens: the most tokens to add to a row.
        do_sample: draw from the distribution; otherwise take the likeliest token.
        temperature: divides the logits when sampling.
        top_k: sample among the k likeliest tokens.
        top_p: sample among the smallest set of tokens whose mass reaches p.
        seed: the same seed draws the same tokens; row i depends on the seed, i and its own prompt.
        eos_token_id: ends a row.
        pad_token_id: fills a row after its EOS; the EOS itself where it is not given, or 0 without
            that.
        decoder_start_token_id: an encoder-decoder's first token; the padding id where it is not
            given.
        size: the vocabulary's true size, if the embedding table has padding rows.

    Returns: int32 [B, L + new] for a decoder, `input_ids` and what follows; [B, 1 + new] for an
        encoder-decoder, the start token and what follows. It ends where the last row ends.

    Raises:
        UserError: the network can't continue text, or has too few positions.
    """
    pad = pad_token_id if pad_token_id is not None else (eos_token_id or 0)
    start = pad if decoder_start_token_id is None else decoder_start_token_id
    continuation = continue_tokens(
        Bound(pretrained.module, pretrained.params),
        input_ids,
        attention_mask,
        max_new_tokens=max_new_tokens,
        key=jax.random.key(seed),
        sampling=Sampling(temperature, top_k, top_p) if do_sample else GREEDY,
        eos=eos_token_id,
        pad=pad,
        start=start,
        size=size,
    )
    prompts_BL = np.asarray(input_ids, np.int32)
    if pretrained.module.kind == "encoder_decoder":
        prompts_BL = np.full((len(prompts_BL), 1), start, np.int32)
    return np.concatenate([prompts_BL, continuation.tokens], axis=1)
