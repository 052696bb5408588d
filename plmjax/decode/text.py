"""Continuing and rewriting texts: strings in, strings out.

Legend: B texts of a batch, L length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.templates import Seq2SeqTemplate, Template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.decode.generate_tokens import Strategy, generate_tokens, stream_tokens, unsupported_kind
from plmjax.decode.logits_processors import ForcedBOSToken, LogitsProcessor
from plmjax.decode.sampling import Sampling
from plmjax.modules import Bound

UNFINISHED = "\ufffd"
MASK = re.compile(r"\[MASK\]|<mask>")


def continue_text(
    network: Bound,
    tokenizer: Tokenizer,
    texts: str | Sequence[str],
    *,
    max_new_tokens: int = 64,
    sampling: Strategy = Sampling(),  # noqa: B008 (frozen)
    processors: tuple[LogitsProcessor, ...] = (),
    seed: int = 0,
    batch_size: int = 8,
) -> list[str]:
    """What a decoder writes after each text: the continuations alone, without the texts.

    Text i draws from `fold_in(key(seed), i)`, whatever the batch size. A text without a token
    starts from the vocabulary's BOS or EOS. Special tokens other than EOS are never written.

    Raises:
        UserError: the network is no decoder, or text and continuation exceed its positions.
    """
    if network.module.kind != "decoder":
        remedy = "use a decoder such as GPT-2"
        raise unsupported_kind(network.module, "continue a text", remedy)
    vocabulary = tokenizer.vocabulary
    prompts = [or_start(tokens, tokenizer) for tokens in tokenizer.encode_batch(_as_list(texts))]
    outputs = continue_prompts(
        network,
        tokenizer,
        prompts,
        spoken=[] if vocabulary.eos is None else [vocabulary.eos],
        max_new_tokens=max_new_tokens,
        sampling=sampling,
        processors=processors,
        seed=seed,
        batch_size=batch_size,
    )
    return [decode_after(tokenizer, prompt, tokens) for prompt, tokens in zip(prompts, outputs, strict=True)]


def stream_text(
    network: Bound,
    tokenizer: Tokenizer,
    text: str,
    *,
    max_new_tokens: int = 64,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    processors: tuple[LogitsProcessor, ...] = (),
    seed: int = 0,
) -> Iterator[str]:
    """What `continue_text` gives for one text, piece by piece as it is written; a character never comes in parts.

    Raises:
        UserError: as `continue_text` does.
    """
    if network.module.kind != "decoder":
        raise unsupported_kind(network.module, "continue a text", "use a decoder such as GPT-2")
    vocabulary = tokenizer.vocabulary
    prompt = or_start(tokenizer.encode(text), tokenizer)
    special = np.flatnonzero(vocabulary.is_special).tolist()
    written: list[int] = []
    shown = ""
    for tokens in stream_tokens(
        network,
        np.asarray([prompt], np.int32),
        max_new_tokens=max_new_tokens,
        key=jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.arange(1)),
        sampling=sampling,
        processors=processors,
        eos=vocabulary.eos,
        pad=vocabulary.padding,
        size=vocabulary.size,
        forbidden=[i for i in special if i != vocabulary.eos],
    ):
        written += tokens
        whole = decode_after(tokenizer, prompt, _until(written, vocabulary.eos))
        # The bytes of a character that has not been written whole decode to these marks.
        ready = whole.rstrip(UNFINISHED)
        if ready.startswith(shown) and len(ready) > len(shown):
            yield ready[len(shown) :]
            shown = ready
    whole = decode_after(tokenizer, prompt, _until(written, vocabulary.eos))
    if whole.startswith(shown) and len(whole) > len(shown):
        yield whole[len(shown) :]


def rewrite_text(
    network: Bound,
    tokenizer: Tokenizer,
    texts: str | Sequence[str],
    *,
    max_new_tokens: int = 64,
    sampling: Strategy = Sampling(),  # noqa: B008 (frozen)
    processors: tuple[LogitsProcessor, ...] = (),
    seed: int = 0,
    batch_size: int = 8,
    template: Seq2SeqTemplate | None = None,
) -> list[str]:
    """What an encoder-decoder writes for each text, such as a translation by a network trained on that; or a decoder
    that was fine-tuned to write a text after another and a delimiter, which its `template` has.

    Text i draws from `fold_in(key(seed), i)`, whatever the batch size. [MASK] or <mask> in a text is the mask of a
    vocabulary that has one. `template`: the special tokens; None: T5's, EOS after the
    text and padding to start from.

    Raises:
        UserError: the network is neither.
    """
    if network.module.kind != "encoder_decoder" and (network.module.kind != "decoder" or template is None):
        remedy = "use an encoder-decoder such as T5"
        raise unsupported_kind(network.module, "rewrite a text", remedy)
    vocabulary = tokenizer.vocabulary
    if template is None:
        vocabulary.require("eos", "pad")
        template = Seq2SeqTemplate(Template(suffix=(vocabulary.eos,)), vocabulary.padding)
    reads = template.source_tokenizer or tokenizer
    prompts = [template.source.wrap(ids_with_masks(reads, text)) for text in _as_list(texts)]
    if template.forced_bos_token_id is not None:
        processors = (*processors, ForcedBOSToken(template.forced_bos_token_id))
    outputs = continue_prompts(
        network,
        tokenizer,
        prompts,
        spoken=[vocabulary.eos if template.eos_token_id is None else template.eos_token_id],
        max_new_tokens=max_new_tokens,
        sampling=sampling,
        processors=processors,
        seed=seed,
        batch_size=batch_size,
        start=template.decoder_start_token_id,
        end=template.eos_token_id,
    )
    return [tokenizer.decode(tokens) for tokens in outputs]


def ids_with_masks(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text, its masks included if the vocabulary has one."""
    mask = tokenizer.vocabulary.mask
    if mask is None or not MASK.search(text):
        return tokenizer.encode(text)
    return tokenizer.encode(MASK.sub(lambda _: tokenizer.special_names[mask], text), special=True)


def continue_prompts(
    network: Bound,
    tokenizer: Tokenizer,
    prompts: list[list[int]],
    *,
    spoken: Sequence[int],
    max_new_tokens: int,
    sampling: Strategy,
    seed: int,
    batch_size: int,
    processors: tuple[LogitsProcessor, ...] = (),
    start: int | None = None,
    end: int | None = None,
) -> list[list[int]]:
    """The new ids of each prompt, without its EOS; of the special tokens only those in `spoken` are
    drawn.

    Prompt i draws from `fold_in(key(seed), i)`. Every batch has the same number of rows, so that
    they share a
    compilation: the last one is filled up with its last prompt. `start`: an encoder-decoder's first id; None: padding.
    `end`: what ends a text; None: EOS.
    """
    vocabulary = tokenizer.vocabulary
    end = vocabulary.eos if end is None else end
    size = max(vocabulary.size, 0 if end is None else end + 1)  # a fine-tuned decoder may end with a token of its own
    special = [*np.flatnonzero(vocabulary.is_special[: vocabulary.size]).tolist(), *range(vocabulary.size, size)]
    row_key = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))
    batch_size = min(batch_size, len(prompts)) or 1
    outputs: list[list[int]] = []
    for first in range(0, len(prompts), batch_size):
        numbers = np.minimum(np.arange(first, first + batch_size), len(prompts) - 1)
        tokens_BL, segments_BL = _rectangle([prompts[i] for i in numbers])
        tokens_BN, lengths_B, _ = generate_tokens(
            network,
            tokens_BL,
            segments_BL,
            max_new_tokens=max_new_tokens,
            key=row_key(jnp.asarray(numbers)),
            sampling=sampling,
            eos=end,
            pad=vocabulary.padding,
            start=vocabulary.padding if start is None else start,
            size=size,
            forbidden=[i for i in special if i not in spoken],
            processors=processors,
        )
        outputs += [
            _until(tokens_N[:length].tolist(), end) for tokens_N, length in zip(tokens_BN, lengths_B, strict=True)
        ]
    return outputs[: len(prompts)]


def _rectangle(prompts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and segments, int32 [B, L], padded on the right."""
    lengths_B = np.asarray([len(prompt) for prompt in prompts])
    longest = int(lengths_B.max())
    tokens_BL = np.asarray([prompt + [0] * (longest - len(prompt)) for prompt in prompts], np.int32)
    return tokens_BL, (np.arange(longest)[None] < lengths_B[:, None]).astype(np.int32)


def _as_list(texts: str | Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


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
