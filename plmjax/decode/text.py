"""Continuing and rewriting texts: strings in, strings out.

Legend: B texts of a batch, L length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.templates import Seq2SeqTemplate, Template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.decode.config import GenerationConfig
from plmjax.decode.generate_tokens import generate_tokens, stream_tokens, unsupported_kind
from plmjax.decode.sampling import Sampling
from plmjax.errors import UserError
from plmjax.modules import Bound

UNFINISHED = "\ufffd"
MASK = re.compile(r"\[MASK\]|<mask>")
BATCH_SIZE = 8


def generate_text(
    network: Bound,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    config: GenerationConfig | None = None,
    template: Seq2SeqTemplate | None = None,
    batch_size: int = BATCH_SIZE,
) -> list[list[str]]:
    """`num_return_sequences` texts for each text.

    A decoder continues the text: what it writes is given without the text. An encoder-decoder rewrites it, as a
    translation does; so does a decoder with a template, which is fine-tuned to write one text after another.

    Text i samples by `fold_in(key(seed), i)`, whatever the batch size. A decoder starts an empty text from the
    vocabulary's BOS or EOS. No special token but the EOS is generated. [MASK] or <mask> in a text that is rewritten is
    the mask of a vocabulary that has one.

    Args:
        network: a decoder or an encoder-decoder.
        tokenizer: of the text that is generated.
        texts: any strings.
        config: None: greedy, 20 new tokens. Token ids that it does not have are the template's, else the vocabulary's.
        template: the special tokens round a text that is rewritten; None: T5's, EOS after it and padding to start from.
        batch_size: texts that are generated together.

    Raises:
        UserError: the network is an encoder, or text and continuation exceed its positions.
    """
    config = config or GenerationConfig()
    if network.kind == "decoder" and template is None:
        prompts = [or_start(tokens, tokenizer) for tokens in tokenizer.encode_batch(texts)]
        found = generate_ids(network, tokenizer, prompts, config, batch_size=batch_size)
        return [
            [decode_after(tokenizer, prompt, ids) for ids in rows] for prompt, rows in zip(prompts, found, strict=True)
        ]
    if network.kind not in ("decoder", "encoder_decoder"):
        raise unsupported_kind(network.module, "generate text", "use a decoder such as GPT-2 or an encoder-decoder")
    template = template or t5_template(tokenizer)
    reads = template.source_tokenizer or tokenizer
    prompts = [template.source.wrap(ids_with_masks(reads, text)) for text in texts]
    names = ("decoder_start_token_id", "forced_bos_token_id", "eos_token_id")
    given = {name: getattr(template, name) for name in names if getattr(config, name) is None}
    found = generate_ids(network, tokenizer, prompts, replace(config, **given), batch_size=batch_size)
    return [[tokenizer.decode(ids) for ids in rows] for rows in found]


def stream_text(
    network: Bound, tokenizer: Tokenizer, text: str, config: GenerationConfig | None = None
) -> Iterator[str]:
    """The continuation that `generate_text` gives for one text, piece by piece; a character never comes in parts.

    Raises:
        UserError: the network is no decoder, or the text is known at the end alone, as in beam search.
    """
    config = config or GenerationConfig()
    if network.kind != "decoder":
        raise unsupported_kind(network.module, "continue a text", "use a decoder such as GPT-2")
    strategy = config.strategy()
    if not isinstance(strategy, Sampling) or config.num_return_sequences > 1:
        raise UserError(
            "Beam search, best_of and several sequences give their texts at the end: they can't be streamed."
        )
    vocabulary = tokenizer.vocabulary
    prompt = or_start(tokenizer.encode(text), tokenizer)
    end = vocabulary.eos if config.eos_token_id is None else config.eos_token_id
    special = np.flatnonzero(vocabulary.is_special).tolist()
    written: list[int] = []
    shown = ""
    for tokens in stream_tokens(
        network,
        np.asarray([prompt], np.int32),
        max_new_tokens=config.new_tokens,
        key=jax.vmap(lambda i: jax.random.fold_in(jax.random.key(config.seed), i))(jnp.arange(1)),
        sampling=strategy,
        processors=replace(config, eos_token_id=end).logits_processors(),
        eos=end,
        pad=vocabulary.padding,
        size=vocabulary.size,
        forbidden=[i for i in special if i != end],
    ):
        written += tokens
        whole = decode_after(tokenizer, prompt, _until(written, end))
        # The bytes of a character that has not been written whole decode to these marks.
        ready = whole.rstrip(UNFINISHED)
        if ready.startswith(shown) and len(ready) > len(shown):
            yield ready[len(shown) :]
            shown = ready
    whole = decode_after(tokenizer, prompt, _until(written, end))
    if whole.startswith(shown) and len(whole) > len(shown):
        yield whole[len(shown) :]


def t5_template(tokenizer: Tokenizer) -> Seq2SeqTemplate:
    """EOS after a text, and padding to start from; UserError for a vocabulary that lacks one."""
    vocabulary = tokenizer.vocabulary
    vocabulary.require("eos", "pad")
    return Seq2SeqTemplate(Template(suffix=(vocabulary.eos,)), vocabulary.padding)


def ids_with_masks(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text, its masks included if the vocabulary has one."""
    mask = tokenizer.vocabulary.mask
    if mask is None or not MASK.search(text):
        return tokenizer.encode(text)
    return tokenizer.encode(MASK.sub(lambda _: tokenizer.special_names[mask], text), special=True)


def generate_ids(
    network: Bound,
    tokenizer: Tokenizer,
    prompts: Sequence[list[int]],
    config: GenerationConfig,
    *,
    allowed_special: Sequence[int] = (),
    batch_size: int = BATCH_SIZE,
) -> list[list[list[int]]]:
    """The new ids of each prompt, `num_return_sequences` times, without the token that ends them.

    Prompt i samples by `fold_in(key(seed), i)`; of several samples each has a number of its own, in order. Every batch
    has the same number of rows, so that they share a compilation: the last one is filled up with its last prompt.

    Args:
        network, tokenizer, config: as `generate_text` takes them.
        prompts: ids, none of them empty.
        allowed_special: the special tokens that may be generated, besides the one that ends a text.
        batch_size: prompts of a batch.
    """
    vocabulary, strategy, copies = tokenizer.vocabulary, config.strategy(), config.num_return_sequences
    rows, outputs = list(prompts), copies
    if isinstance(strategy, Sampling):
        rows, outputs = [prompt for prompt in prompts for _ in range(copies)], 1
    end = vocabulary.eos if config.eos_token_id is None else config.eos_token_id
    start = vocabulary.padding if config.decoder_start_token_id is None else config.decoder_start_token_id
    size = max(vocabulary.size, 0 if end is None else end + 1)  # a fine-tuned decoder may end with a token of its own
    special = [*np.flatnonzero(vocabulary.is_special[: vocabulary.size]).tolist(), *range(vocabulary.size, size)]
    row_key = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(config.seed), i))
    batch_size = min(batch_size, len(rows)) or 1
    found: list[list[int]] = []
    for first in range(0, len(rows), batch_size):
        numbers = np.minimum(np.arange(first, first + batch_size), len(rows) - 1)
        tokens_BL, segments_BL = _rectangle([rows[i] for i in numbers])
        tokens_RN, lengths_R, _ = generate_tokens(
            network,
            tokens_BL,
            segments_BL,
            max_new_tokens=config.new_tokens,
            key=row_key(jnp.asarray(numbers)),
            sampling=strategy,
            outputs=outputs,
            eos=end,
            pad=vocabulary.padding,
            start=start,
            size=size,
            forbidden=[i for i in special if i != end and i not in allowed_special],
            processors=replace(config, eos_token_id=end).logits_processors(),
        )
        found += [
            _until(tokens_N[:length].tolist(), end) for tokens_N, length in zip(tokens_RN, lengths_R, strict=True)
        ]
    return [found[i * copies : (i + 1) * copies] for i in range(len(prompts))]


def _rectangle(prompts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and segments, int32 [B, L], padded on the right."""
    lengths_B = np.asarray([len(prompt) for prompt in prompts])
    longest = int(lengths_B.max())
    tokens_BL = np.asarray([prompt + [0] * (longest - len(prompt)) for prompt in prompts], np.int32)
    return tokens_BL, (np.arange(longest)[None] < lengths_B[:, None]).astype(np.int32)


def or_start(tokens: list[int], tokenizer: Tokenizer) -> list[int]:
    """The ids of a prompt, or the vocabulary's BOS or EOS where there are none."""
    vocabulary = tokenizer.vocabulary
    start = vocabulary.bos if vocabulary.bos is not None else vocabulary.eos
    if tokens or start is None:
        return tokens
    return [start]


def _until(tokens: list[int], eos: int | None) -> list[int]:
    return tokens[: tokens.index(eos)] if eos in tokens else tokens


def decode_after(tokenizer: Tokenizer, prompt: list[int], new: list[int]) -> str:
    """The text of `new` as it follows `prompt`: decoded alone it would lose its first space."""
    before, whole = tokenizer.decode(prompt), tokenizer.decode(prompt + new)
    return whole[len(before) :] if whole.startswith(before) else tokenizer.decode(new)
