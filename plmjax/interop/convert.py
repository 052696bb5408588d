"""Converts checkpoints for experiments.convert."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from plmjax.data.templates import single_text_template
from plmjax.errors import UserError
from plmjax.interop.huggingface import load_huggingface, save_huggingface
from plmjax.interop.native import load, save
from plmjax.interop.pretrained import Pretrained
from plmjax.interop.weight_map import flatten

SENTENCE = "The man went to the"
SHOWN = 5
MASKED = ("ForMaskedLM", "ForPreTraining", "WithLMHeadModel")  # ends of the classes that fill a mask
TOKEN_SCORES = ("prediction_logits", "prediction_scores", "logits")


def convert(
    *,
    from_hf: str | None = None,
    to: str | None = None,
    source: str | None = None,
    to_hf: str | None = None,
    part: str | None = None,
) -> Iterator[str]:
    """Converts, one way, and reports line by line; the last lines are what the written checkpoint predicts.

    Args:
        from_hf, to: read a Hugging Face directory, write a plmjax checkpoint.
        source, to_hf: read a plmjax checkpoint, write a Hugging Face directory.
        part: of a checkpoint with several networks, the one to write; see `load`.

    Raises:
        UserError: not one of the two pairs, a target that holds something, or whatever reading and writing raise.
    """
    if (from_hf, to, source, to_hf).count(None) != 2 or (from_hf is None) != (to is None):
        raise UserError("Give either --from_hf and --to, or --from and --to_hf.")
    target = Path(str(to or to_hf)).expanduser()
    if target.exists() and any(target.iterdir()) if target.is_dir() else target.exists():
        raise UserError(f"{target} is not empty: name a new folder.")
    pretrained = load_huggingface(from_hf) if from_hf else load(str(source), part)
    leaves = flatten(pretrained.params)
    count = sum(int(np.size(leaf)) for leaf in leaves.values())
    yield f"read {from_hf or source}: {pretrained.architecture}, {len(leaves)} tensors, {count:,} parameters"
    with _whole_or_not_at_all(target):
        if to is not None:
            save(pretrained, target)
        else:
            save_huggingface(pretrained, target)
    written = load_huggingface(target) if to is None else load(target)
    tokenizer = "no tokenizer" if written.tokenizer is None else f"tokenizer {written.tokenizer.name}"
    yield f"wrote {target}: {written.architecture}, {tokenizer}"
    yield from sanity(written)


@contextmanager
def _whole_or_not_at_all(folder: Path) -> Iterator[None]:
    """Leaves a folder that was empty as it was where writing fails, so that the same command may try again."""
    was_there = folder.exists()
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if was_there:
            folder.mkdir()
        raise


def sanity(pretrained: Pretrained) -> Iterator[str]:
    """The likeliest tokens after a few words, for a person to judge; nothing without a tokenizer or a token head."""
    tokenizer, question = pretrained.tokenizer, _question(pretrained)
    if tokenizer is None or question is None:
        return
    text, inputs, position = question
    outputs = pretrained(**inputs)
    name = next(name for name in TOKEN_SCORES if name in outputs)
    scores = outputs[name][0, position, : tokenizer.vocabulary.size]
    chances = np.exp(scores - scores.max())
    chances /= chances.sum()
    yield text
    for token in np.argsort(-chances)[:SHOWN]:
        yield f"  {chances[token]:.3f}  {tokenizer.decode([int(token)], skip_special=False)}"


def _question(pretrained: Pretrained) -> tuple[str, dict[str, list[list[int]]], int] | None:
    """A text with a gap, the inputs that ask for it, and the position of the answer."""
    tokenizer, architecture = pretrained.tokenizer, pretrained.architecture
    if tokenizer is None or tokenizer.vocabulary.size > pretrained.config.vocab_size:
        return None
    vocabulary, names, words = tokenizer.vocabulary, tokenizer.special_names, tokenizer.encode(SENTENCE)
    if not words:
        return None
    kind = pretrained.module.kind if pretrained.generates or architecture.endswith(MASKED) else None
    if kind == "decoder":
        return f"{SENTENCE} ...", {"input_ids": [words]}, -1
    if kind == "encoder_decoder" and vocabulary.sentinels and vocabulary.eos is not None:
        gap = vocabulary.sentinels[0]
        inputs = {"input_ids": [[*words, gap, vocabulary.eos]], "decoder_input_ids": [[vocabulary.padding, gap]]}
        return f"{SENTENCE} {names[gap]}", inputs, -1
    if kind == "encoder" and "token" in pretrained.config.heads and vocabulary.mask is not None:
        ids = single_text_template(vocabulary).wrap([*words, vocabulary.mask])
        return f"{SENTENCE} {names[vocabulary.mask]}", {"input_ids": [ids]}, ids.index(vocabulary.mask)
    return None
