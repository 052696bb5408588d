"""Masks filled and texts generated, on plain strings.

Legend: B texts, L length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from plmjax.decode.fill import fill_mask as fill_masks
from plmjax.decode.fill import fill_sentinels
from plmjax.decode.text import decode_after, ids_with_masks, or_start
from plmjax.interop import Pretrained
from plmjax.interop.source_templates import delimited_template, source_template
from plmjax.modules import Bound
from plmjax.pipelines.predict import as_list, like
from plmjax.pipelines.task_metadata import abilities, require_tokenizer, unsupported


def fill_mask(pretrained: Pretrained, texts: str | Sequence[str], top_k: int = 5) -> Any:
    """See `Model.fill_mask`."""
    if "fill_mask" not in abilities(pretrained):
        raise unsupported(pretrained, "fill masks")
    tokenizer, found = require_tokenizer(pretrained), as_list(texts)
    network = Bound(pretrained.module, pretrained.device_params)
    if pretrained.module.kind == "encoder":
        return like(texts, [fill_masks(network, tokenizer, text, top_k) for text in found])
    return like(texts, fill_sentinels(network, tokenizer, found))


def generate(
    pretrained: Pretrained,
    texts: str | Sequence[str],
    source: str | None = None,
    target: str | None = None,
    **options: Any,
) -> Any:
    """See `Model.generate`."""
    if not pretrained.generates:
        raise unsupported(pretrained, "generate text")
    tokenizer, found = require_tokenizer(pretrained), as_list(texts)
    vocabulary = tokenizer.vocabulary
    delimited = delimited_template(pretrained)
    if pretrained.module.kind == "decoder":
        prompts = [or_start(tokenizer.encode(text), tokenizer) for text in found]
        if delimited is not None:
            prompts = [delimited.source.wrap(tokenizer.encode(text)) for text in found]
            options = {"eos_token_id": delimited.eos_token_id} | options
        tokens_BL, mask_BL = rectangle(prompts, vocabulary.padding, left=True)
    else:
        template = source_template(pretrained, source, target)
        reads = template.source_tokenizer or tokenizer
        prompts = [template.source.wrap(ids_with_masks(reads, text)) for text in found]
        tokens_BL, mask_BL = rectangle(prompts, reads.vocabulary.padding, left=False)
        options = {"decoder_start_token_id": template.decoder_start_token_id} | options
        if template.forced_bos_token_id is not None:
            options = {"forced_bos_token_id": template.forced_bos_token_id} | options
    written = Pretrained.generate(pretrained, tokens_BL, mask_BL, **options).tolist()
    copies = len(written) // len(found)
    if delimited is not None:
        out = [tokenizer.decode(before(row[tokens_BL.shape[1] :], delimited.eos_token_id)) for row in written]
    elif pretrained.module.kind == "decoder":
        length = tokens_BL.shape[1]
        read = [prompt for prompt in prompts for _ in range(copies)]
        out = [decode_after(tokenizer, prompt, row[length:]) for prompt, row in zip(read, written, strict=True)]
    else:
        out = [tokenizer.decode(row) for row in written]
    return like(texts, out if copies == 1 else [out[at : at + copies] for at in range(0, len(out), copies)])


def before(tokens: list[int], end: int | None) -> list[int]:
    """The ids before the first that is `end`."""
    return tokens[: tokens.index(end)] if end in tokens else tokens


def rectangle(rows: Sequence[list[int]], padding: int, left: bool) -> tuple[np.ndarray, np.ndarray]:
    """Ids and their mask, int32 [B, L], filled up on the left or on the right."""
    longest = max(map(len, rows))
    tokens_BL, mask_BL = (np.full((len(rows), longest), value, np.int32) for value in (padding, 0))
    for number, row in enumerate(rows):
        place = slice(longest - len(row), None) if left else slice(len(row))
        tokens_BL[number, place], mask_BL[number, place] = row, 1
    return tokens_BL, mask_BL
