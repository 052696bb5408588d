"""`generate` under the names, and with the results, of Hugging Face `transformers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import jax
import numpy as np

from plmjax.decode.beam_search import Beams
from plmjax.decode.generate_tokens import Strategy, generate_tokens
from plmjax.decode.logits_processors import make_logits_processors
from plmjax.decode.sampling import GREEDY, SampleAndRank, Sampling
from plmjax.errors import UserError
from plmjax.modules import Bound
from plmjax.modules.network import Network


class PretrainedLike(Protocol):
    """What `generate` needs of a loaded checkpoint."""

    module: Network
    params: Any


def generate(
    pretrained: PretrainedLike,
    input_ids: np.ndarray,
    attention_mask: np.ndarray | None = None,
    *,
    max_new_tokens: int = 20,
    min_new_tokens: int = 0,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    best_of: int = 1,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    num_return_sequences: int = 1,
    repetition_penalty: float = 1.0,
    no_repeat_ngram_size: int = 0,
    seed: int = 0,
    eos_token_id: int | None = None,
    pad_token_id: int | None = None,
    decoder_start_token_id: int | None = None,
    forced_bos_token_id: int | None = None,
    forced_eos_token_id: int | None = None,
    bad_words_ids: Sequence[Sequence[int]] = (),
    suppress_tokens: Sequence[int] = (),
    begin_suppress_tokens: Sequence[int] = (),
    size: int | None = None,
) -> np.ndarray:
    """Continues `input_ids`, greedily, by sampling or by beam search.

    Args:
        pretrained: a decoder or encoder-decoder with its parameters.
        input_ids: int [B, L].
        attention_mask: int [B, L], 0 at padding, which may stand at either end; None: no padding.
        max_new_tokens, min_new_tokens: the most and the fewest tokens to add to a row.
        do_sample: draw from the distribution; otherwise take the likeliest token, or search.
        temperature: divides the logits when sampling.
        top_k: sample among the k likeliest tokens.
        top_p: sample among the smallest set of tokens whose mass reaches p.
        best_of: draw so many candidates and return the likeliest; not in `transformers`.
        num_beams: over 1: beam search, not to be combined with do_sample.
        length_penalty, early_stopping: of the beam search, see Beams.
        num_return_sequences: rows of the result for each row of `input_ids`, side by side.
        repetition_penalty: see RepetitionPenalty; a decoder's `input_ids` count as written, padding included, as in
            `transformers`.
        no_repeat_ngram_size: no so many tokens are written twice; 0: they may be.
        seed: the same seed draws the same tokens; row i depends on the seed, i and its own prompt.
        eos_token_id: ends a row.
        pad_token_id: fills a row after its EOS; the EOS itself where it is not given, or 0 without
            that.
        decoder_start_token_id: an encoder-decoder's first token; the padding id where it is not
            given.
        forced_bos_token_id: an encoder-decoder's second token.
        forced_eos_token_id: the last token where a row reaches `max_new_tokens`.
        bad_words_ids: sequences of tokens that are never written.
        suppress_tokens, begin_suppress_tokens: tokens that are never written, or not first.
        size: the vocabulary's true size, if the embedding table has padding rows.

    Returns: int32 [B, L + new] for a decoder, `input_ids` and what follows; [B, 1 + new] for an
        encoder-decoder, the start token and what follows. It ends where the last row ends.

    Raises:
        UserError: the network can't continue text, or has too few positions; or settings that mean nothing, or not
            together.
    """
    decoder = pretrained.module.kind == "decoder"
    if decoder and forced_bos_token_id is not None:
        raise UserError(
            "forced_bos_token_id is for encoder-decoders: put the token at the end of a decoder's input_ids."
        )
    pad = pad_token_id if pad_token_id is not None else (eos_token_id or 0)
    start = pad if decoder_start_token_id is None else decoder_start_token_id
    prompts_BL = np.asarray(input_ids, np.int32)
    try:
        method = choose_strategy(
            do_sample=do_sample,
            sampling=Sampling(temperature, top_k, top_p) if do_sample else GREEDY,
            best_of=best_of,
            num_beams=num_beams,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
        )
        continuation = generate_tokens(
            Bound(pretrained.module, pretrained.params),
            prompts_BL,
            attention_mask,
            max_new_tokens=max_new_tokens,
            key=jax.random.key(seed),
            sampling=method,
            outputs=num_return_sequences,
            eos=eos_token_id,
            # A beam search of `transformers` fills with EOS where the padding id is 0.
            pad=eos_token_id if isinstance(method, Beams) and not pad and eos_token_id is not None else pad,
            start=start,
            size=size,
            processors=make_logits_processors(
                repetition_penalty=repetition_penalty,
                no_repeat_ngram_size=no_repeat_ngram_size,
                min_new_tokens=min_new_tokens,
                forced_bos_token_id=forced_bos_token_id,
                forced_eos_token_id=forced_eos_token_id,
                eos_token_id=eos_token_id,
                bad_words_ids=bad_words_ids,
                suppress_tokens=suppress_tokens,
                begin_suppress_tokens=begin_suppress_tokens,
            ),
            history_BH=prompts_BL,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    if not decoder:
        prompts_BL = np.full((len(prompts_BL), 1), start, np.int32)
    return np.concatenate([np.repeat(prompts_BL, num_return_sequences, axis=0), continuation.tokens], axis=1)


def choose_strategy(
    *,
    do_sample: bool,
    sampling: Sampling,
    best_of: int = 1,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
) -> Strategy:
    """The method that these settings ask for.

    Raises:
        UserError: settings of one method beside another.
        ValueError: a number out of its range.
    """
    if num_beams < 1:
        raise UserError(f"num_beams is {num_beams}: give 1 (no beam search) or more.")
    if num_beams > 1 and do_sample:
        raise UserError(
            f"A search with {num_beams} beams draws nothing: leave out do_sample (temperature) or num_beams."
        )
    if num_beams > 1 and best_of > 1:
        raise UserError(f"best_of {best_of} ranks samples and {num_beams} beams are a search: leave one of them out.")
    if num_beams == 1 and (length_penalty != 1.0 or early_stopping is not False):
        raise UserError("length_penalty and early_stopping belong to a beam search: set num_beams to 2 or more.")
    if num_beams > 1:
        return Beams(num_beams, length_penalty, early_stopping)
    if best_of == 1:
        return sampling
    if not do_sample:
        raise UserError(f"best_of {best_of} needs different candidates: set do_sample (a temperature over 0).")
    return SampleAndRank(sampling, best_of)
