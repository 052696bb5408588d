"""`generate` under the names, and with the results, of Hugging Face `transformers`."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from plmjax.decode.beam_search import Beams
from plmjax.decode.config import GenerationConfig
from plmjax.decode.generate_tokens import generate_tokens
from plmjax.errors import UserError
from plmjax.modules import Bound


def generate(
    network: Bound,
    input_ids: np.ndarray,
    attention_mask: np.ndarray | None = None,
    generation_config: GenerationConfig | None = None,
    *,
    size: int | None = None,
    **settings: Any,
) -> np.ndarray:
    """Continues `input_ids`, greedily, by sampling or by beam search.

    Args:
        network: a decoder or encoder-decoder with its parameters.
        input_ids: int [B, L].
        attention_mask: int [B, L], 0 at padding, which may stand at either end; None: no padding.
        generation_config: see GenerationConfig; None: its defaults. For the repetition penalty a decoder's `input_ids`
            count as generated, padding included, as in `transformers`. Row i samples by the seed, i and its own prompt.
        size: the vocabulary's true size, if the embedding table has padding rows.
        settings: fields of GenerationConfig, in place of those of `generation_config`.

    Returns: int32 [B, L + new] for a decoder, `input_ids` and what follows; [B, 1 + new] for an encoder-decoder, the
        start token and what follows. It ends where the last row ends. Where `num_return_sequences` is above 1, the rows
        of one prompt stand side by side.

    Raises:
        UserError: the network can't generate, or has too few positions; or settings are out of range, or do not fit
            together.
    """
    config = (generation_config or GenerationConfig()).with_settings(**settings)
    decoder, eos = network.kind == "decoder", config.eos_token_id
    if decoder and config.forced_bos_token_id is not None:
        raise UserError(
            "forced_bos_token_id is for encoder-decoders: put the token at the end of a decoder's input_ids."
        )
    pad = config.pad_token_id if config.pad_token_id is not None else (eos or 0)
    start = pad if config.decoder_start_token_id is None else config.decoder_start_token_id
    prompts_BL = np.asarray(input_ids, np.int32)
    strategy = config.strategy()
    try:
        found = generate_tokens(
            network,
            prompts_BL,
            attention_mask,
            max_new_tokens=config.new_tokens,
            key=jax.random.key(config.seed),
            sampling=strategy,
            outputs=config.num_return_sequences,
            eos=eos,
            # A beam search of `transformers` fills with EOS where the padding id is 0.
            pad=eos if isinstance(strategy, Beams) and not pad and eos is not None else pad,
            start=start,
            size=size,
            processors=config.logits_processors(),
            history_BH=prompts_BL,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    if not decoder:
        prompts_BL = np.full((len(prompts_BL), 1), start, np.int32)
    return np.concatenate([np.repeat(prompts_BL, config.num_return_sequences, axis=0), found.tokens], axis=1)
