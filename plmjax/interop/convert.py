"""What experiments.convert does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from plmjax.errors import UserError
from plmjax.interop.huggingface import load_huggingface, save_huggingface
from plmjax.interop.own import load, save
from plmjax.interop.pretrained import Pretrained
from plmjax.interop.tables import flatten

SENTENCE = "The man went to the"
SHOWN = 5


def convert(
    *, from_hf: str | None = None, to: str | None = None, source: str | None = None, to_hf: str | None = None
) -> Iterator[str]:
    """Converts, one way, and reports line by line; the last lines are what the written checkpoint predicts.

    Args:
        from_hf, to: read a Hugging Face directory, write a plmjax checkpoint.
        source, to_hf: read a plmjax checkpoint, write a Hugging Face directory.

    Raises:
        UserError: not one of the two pairs, a target that holds something, or whatever reading and writing raise.
    """
    if (from_hf, to, source, to_hf).count(None) != 2 or (from_hf is None) != (to is None):
        raise UserError("Give either --from_hf and --to, or --from and --to_hf.")
    target = Path(str(to or to_hf)).expanduser()
    if target.exists() and any(target.iterdir()) if target.is_dir() else target.exists():
        raise UserError(f"{target} holds something already: name a new folder.")
    pretrained = load_huggingface(from_hf) if from_hf else load(str(source))
    leaves = flatten(pretrained.params)
    count = sum(int(np.size(leaf)) for leaf in leaves.values())
    yield f"read {from_hf or source}: {pretrained.architecture}, {len(leaves)} tensors, {count:,} parameters"
    if to is not None:
        save(pretrained, target)
        written = load(target)
    else:
        save_huggingface(pretrained, target)
        written = load_huggingface(target)
    tokenizer = "no tokenizer" if written.tokenizer is None else f"tokenizer {written.tokenizer.name}"
    yield f"wrote {target}: {written.architecture}, {tokenizer}"
    yield from sanity(written)


def sanity(pretrained: Pretrained) -> Iterator[str]:
    """The likeliest tokens of a mask, or after a few words, as a person would judge them; nothing without a tokenizer or head."""
    tokenizer = pretrained.tokenizer
    if tokenizer is None:
        return
    vocabulary, words = tokenizer.vocabulary, tokenizer.encode(SENTENCE)
    if not words or max(words) >= pretrained.config.vocab_size:
        return
    if pretrained.architecture in ("GPT2LMHeadModel", "OpenAIGPTLMHeadModel"):
        logits_V, shown = pretrained(input_ids=[words])["logits"][0, -1], f"{SENTENCE} ..."
    elif pretrained.architecture == "T5ForConditionalGeneration" and vocabulary.sentinels and vocabulary.eos is not None:
        first = vocabulary.sentinels[0]
        ids = [[*words, first, vocabulary.eos]]
        logits_V = pretrained(input_ids=ids, decoder_input_ids=[[vocabulary.padding, first]])["logits"][0, -1]
        shown = f"{SENTENCE} {tokenizer.special_names[first]}"
    elif vocabulary.mask is not None and "token" in getattr(pretrained.config, "heads", ()):
        ids = [i for i in (vocabulary.opening, *words, vocabulary.mask, vocabulary.closing) if i is not None]
        outputs = pretrained(input_ids=[ids])
        logits = outputs.get("logits", outputs.get("prediction_logits"))
        if logits is None or logits.ndim != 3:
            return
        logits_V, shown = logits[0, ids.index(vocabulary.mask)], f"{SENTENCE} {tokenizer.special_names[vocabulary.mask]}"
    else:
        return
    logits_V = logits_V[: vocabulary.size]
    probabilities = np.exp(logits_V - logits_V.max()) / np.exp(logits_V - logits_V.max()).sum()
    yield f"{shown}"
    for token in np.argsort(-logits_V)[:SHOWN]:
        yield f"  {probabilities[token]:.3f}  {tokenizer.decode([int(token)], skip_special=False)}"
