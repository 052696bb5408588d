"""The last step of preparing a store: shards are merged into one array of each kind, then the manifest."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plmjax.data.hashing import hash_file
from plmjax.data.store import shards
from plmjax.data.store.store import (
    ARRAYS,
    CODES_ARRAY,
    LANGUAGES_ARRAY,
    PHRASES_ARRAY,
    SPLITS,
    TOKENIZER_DIRECTORY,
    write_manifest,
)
from plmjax.data.tokenizers.base import Tokenizer


def merge(
    directory: Path,
    recipe: shards.Recipe,
    counts: list[dict[str, dict[str, int]]],
    tokenizer: Tokenizer,
    record: Mapping[str, object],
) -> None:
    """Writes the arrays of each split and the manifest, each under a temporary name first.

    Args:
        directory: the store.
        recipe: where the shards are.
        counts: of each shard, in order.
        tokenizer: what made the tokens.
        record: what else the manifest should hold.
    """
    totals = {}
    codes = _codes(recipe, len(counts)) if recipe.codes else []
    for name in SPLITS:
        totals[name] = {key: sum(shard[name][key] for shard in counts) for key in shards.COUNTS}
        (directory / name).mkdir(exist_ok=True)
        _merge_split(directory / name, recipe, len(counts), totals[name], shards.token_dtype(tokenizer), codes)
    arrays = (
        *ARRAYS,
        *([LANGUAGES_ARRAY] if recipe.languages else []),
        *([PHRASES_ARRAY] if recipe.phrases else []),
        *([CODES_ARRAY] if recipe.codes else []),
    )
    files = [f"{name}/{array}.npy" for name in SPLITS for array in arrays]
    files += [f"{TOKENIZER_DIRECTORY}/{path.name}" for path in sorted((directory / TOKENIZER_DIRECTORY).iterdir())]
    content = {
        "tokenizer": {"fingerprint": tokenizer.fingerprint, "name": tokenizer.name, "size": tokenizer.vocabulary.size},
        "splits": totals,
        **({"languages": list(recipe.languages)} if recipe.languages else {}),
        **({"phrases": True} if recipe.phrases else {}),
        **({"codes": {code: tokenizer.encode(code) for code in codes}} if codes else {}),
        **record,
    }
    write_manifest(directory, content, {file: hash_file(directory / file) for file in files})


def _codes(recipe: shards.Recipe, number: int) -> list[str]:
    """The control codes of all documents, in the order of the alphabet."""
    found: set[str] = set()
    for index in range(number):
        with np.load(recipe.path(index)) as shard:
            for name in SPLITS:
                found.update(shard[f"{name}/codes"].tolist())
    return sorted(found)


def _merge_split(
    folder: Path, recipe: shards.Recipe, number: int, totals: dict[str, int], dtype: np.dtype, codes: list[str]
) -> None:
    lengths = {
        "tokens": totals["tokens"],
        "document_starts": totals["documents"] + 1,
        "sentence_starts": totals["sentences"] + 1,
    }
    shapes: dict[str, tuple[np.dtype, tuple[int, ...]]] = {
        array: (dtype if array == "tokens" else np.dtype(np.int64), (size,)) for array, size in lengths.items()
    }
    if recipe.languages:
        shapes[LANGUAGES_ARRAY] = (np.dtype(np.int16), (totals["documents"], 2))
    if recipe.phrases:
        shapes[PHRASES_ARRAY] = (np.dtype(np.uint8), (totals["tokens"],))
    if codes:
        shapes[CODES_ARRAY] = (np.dtype(np.int32), (totals["documents"],))
    outputs = {
        array: np.lib.format.open_memmap(folder / f"{array}.tmp", "w+", kind, shape)
        for array, (kind, shape) in shapes.items()
    }
    ends = dict.fromkeys(shapes, 0)
    for index in range(number):
        with np.load(recipe.path(index)) as shard:
            begin = ends["tokens"]
            tokens = shard[f"{folder.name}/tokens"]
            outputs["tokens"][begin : begin + len(tokens)] = tokens
            ends["tokens"] += len(tokens)
            if recipe.phrases:
                outputs[PHRASES_ARRAY][begin : begin + len(tokens)] = shard[f"{folder.name}/phrases"]
            for array, kind in (("document_starts", "documents"), ("sentence_starts", "sentences")):
                # Starts are the ends of the one before; the very first, 0, is there already.
                stops = begin + np.cumsum(shard[f"{folder.name}/{kind}"])
                first = ends[array] + 1
                outputs[array][first : first + len(stops)] = stops
                ends[array] += len(stops)
            of_documents = {}
            if recipe.languages:
                of_documents[LANGUAGES_ARRAY] = shard[f"{folder.name}/languages"]
            if codes:
                of_documents[CODES_ARRAY] = np.searchsorted(codes, shard[f"{folder.name}/codes"])
            for array, values in of_documents.items():
                first = ends[array]
                outputs[array][first : first + len(values)] = values
                ends[array] += len(values)
    for array, output in outputs.items():
        output.flush()
        os.replace(folder / f"{array}.tmp", folder / f"{array}.npy")
