"""Prints the examples that an objective makes of the text."""

from pathlib import Path

import jax
import numpy as np

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.train.composites import complete_model
from plmjax.train.config import Config
from plmjax.train.data import TrainingBatches, open_store
from plmjax.train.initialize import Loader, load_native
from plmjax.train.resolve import resolve
from plmjax.train.step import NOISE_STREAM, corrupt_batch

TOKEN_FIELDS = (
    ("tokens", "segments"),
    ("decoder_tokens", "decoder_segments"),
    ("targets", "weights"),
    ("backward_tokens", "segments"),
    ("backward_targets", "weights"),
)
HIDDEN_SCALARS = ("example_ids", "epochs")


def dump_examples(config: Config, workdir: str | Path, count: int, load: Loader = load_native) -> str:
    """The first `count` examples of the run as text: what the network reads and must say, and with what weight.

    Tokens are shown as the tokenizer's pieces, padding left out; a target is followed by its position where the
    objective predicts chosen ones, and by its weight unless that is 1. `load` reads a distillation's teacher.

    Raises:
        UserError: the configuration or the data does not allow the run.
    """
    store = open_store(config.data, Path(workdir).absolute())
    config = complete_model(config, Path(workdir).absolute(), load)
    config = resolve(config, store.vocabulary, None, store.languages)
    loader = TrainingBatches(config, store, None)
    noise_key = jax.random.fold_in(jax.random.key(config.train.seed), NOISE_STREAM)
    objective = config.objective
    corrupt = jax.jit(lambda raw: corrupt_batch(objective, store.vocabulary, noise_key, raw, static=objective.static))
    blocks: list[str] = []
    step = 0
    while len(blocks) < count:
        raw = loader.batch(step)
        batch = jax.device_get(corrupt(raw))
        for row in range(min(count - len(blocks), len(raw["example_ids"]))):
            title = f"example {raw['example_ids'][row]}, epoch {raw['epochs'][row]}, step {step + 1}"
            blocks.append(describe_example(title, {name: value[row] for name, value in batch.items()}, store.tokenizer))
        step += 1
    return "\n\n".join(blocks)


def describe_example(title: str, example: dict[str, np.ndarray], tokenizer: Tokenizer) -> str:
    """One corrupted example, a line a field."""
    lines = [title]
    for name, presence in TOKEN_FIELDS:
        if name not in example:
            continue
        kept = np.flatnonzero(np.asarray(example.get(presence, np.ones_like(example[name]))) != 0)
        words = [_piece(tokenizer, int(example[name][at])) for at in kept]
        if name == "targets":
            words = [word + _note(example, int(at)) for word, at in zip(words, kept, strict=True)]
        lines.append(f"  {name} ({len(kept)}): {' '.join(words)}")
    if "weights" in example:
        weights = np.asarray(example["weights"], np.float64)
        lines.append(f"  weights: sum {weights.sum():g} over {np.count_nonzero(weights)} of {weights.size} places")
    for name, value in example.items():
        if np.ndim(value) == 0 and name not in HIDDEN_SCALARS:
            lines.append(f"  {name}: {value}")
    return "\n".join(lines)


def _note(example: dict[str, np.ndarray], at: int) -> str:
    place = f"@{int(example['masked_positions'][at])}" if "masked_positions" in example else ""
    weight = float(example["weights"][at])
    return place + ("" if weight == 1.0 else f"*{weight:g}")


def _piece(tokenizer: Tokenizer, token: int) -> str:
    """The piece of an id, specials by name."""
    return tokenizer.special_names.get(token) or tokenizer.piece(token)
