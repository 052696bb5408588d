"""Directories as `transformers` writes and reads them: config.json, weights, tokenizer."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.folder import UnreadTokenizerError
from plmjax.data.tokenizers.load import load_tokenizer
from plmjax.errors import UserError
from plmjax.interop import generation
from plmjax.interop.config_types import check_types
from plmjax.interop.family import JSON, Family
from plmjax.interop.hub import local_path
from plmjax.interop.pretrained import Pretrained
from plmjax.interop.registry import family_named
from plmjax.interop.tensors import read_tensors, write_tensors
from plmjax.interop.tokenizer_files import has_tokenizer, save_tokenizer
from plmjax.interop.weight_map import Entry, export_params, flatten, import_params
from plmjax.json_files import read_object
from plmjax.modules import build
from plmjax.modules.facts import adapter_width_of, max_positions_of, source_vocab_size_of
from plmjax.working_folder import HUGGINGFACE, full_disk_explained, make_writable, require_own

log = logging.getLogger(__name__)

CONFIG = "config.json"
SPECIAL_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
# Of a config.json: what this module writes itself, and what speaks of files and versions that are no longer so.
WRITTEN = {"model_type", "architectures", "torch_dtype", "dtype", "transformers_version", "_name_or_path", *SPECIAL_IDS}


def load_huggingface(directory: str | Path) -> Pretrained:
    """Loads a directory of `transformers`, or a name of the hub, of one of the model types in interop/registry.py.

    The class is the one that config.json names. Where it names none, or the base model though the tensors of a head are
    there, it is the class that holds all heads there are, and a warning says so. Numbers come as float32. The embedding
    table keeps the rows that it has.

    Raises:
        UserError: a file is missing or damaged, the model type or a setting of config.json is one that plmjax lacks, or
            tensors are missing or unknown; one sentence that names the first of them.
    """
    directory = local_path(directory)
    given = _read_config(directory / CONFIG)
    family = family_named(given.get("model_type"), directory)
    check_types(given, family, directory / CONFIG)
    tensors = {_trunk_name(name, family): value for name, value in read_tensors(directory).items()}
    try:
        pretrained = _read(directory, given, family, tensors)
    except UserError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{directory / CONFIG} describes no network ({reason:.200}): fetch it again, or correct it."
        ) from error
    pretrained = replace(pretrained, tokenizer=_tokenizer(directory, source_vocab_size_of(pretrained.config)))
    return (
        replace(pretrained, generation=generation.read(directory, given, family))
        if pretrained.generates
        else pretrained
    )


def _read(directory: Path, given: JSON, family: Family, tensors: dict[str, np.ndarray]) -> Pretrained:
    """The network, without its tokenizer."""
    architecture = _architecture(given, family, set(tensors), directory)
    stated = {name: value for name, value in given.items() if value is not None or name in family.null_fields}
    config = family.read_config(stated | {"architectures": [architecture]}, set(tensors))
    special = dict(family.special) | {name: given[name] for name in SPECIAL_IDS if isinstance(given.get(name), int)}
    special = {name: token for name, token in special.items() if token < config.vocab_size}
    table = [_without_prefix(entry, family) for entry in family.table(config, architecture, special)]
    params = import_params(table, tensors, _shapes(config), family.ignored, str(directory))
    written = family.write_config(config, special)
    extras = {key: value for key, value in given.items() if key not in WRITTEN and key not in written}
    return Pretrained(config, params, architecture, None, special, extras)


def save_huggingface(pretrained: Pretrained, directory: str | Path) -> None:
    """Writes what `transformers` loads, with the same outputs.

    That is config.json, model.safetensors, the tokenizer's files and, for what generates, generation_config.json. Every
    head is written, those too that the class in config.json does not have.

    Raises:
        UserError: the network has a setting that the class can't have, the folder holds something else, or the disk is
            full.
    """
    if adapter_width_of(pretrained.config):
        raise UserError("Hugging Face's classes have no adapters: a network with adapters can't be exported.")
    directory = Path(directory).expanduser()
    require_own(directory, HUGGINGFACE)
    family = pretrained.family
    special = dict(family.special) | dict(pretrained.special)
    config = family.write_config(pretrained.config, special)
    tensors = export_params(family.table(pretrained.config, pretrained.architecture, special), pretrained.params)
    tensors |= family.constants(pretrained.config, pretrained.architecture)
    if pretrained.architecture == family.base_model:
        tensors = {_trunk_name(name, family): value for name, value in tensors.items()}
    # null where there is no such token: the class's default may lie outside the vocabulary.
    ids = {
        name: pretrained.special.get(name)
        for name in SPECIAL_IDS
        if name in family.special or name in pretrained.special
    }
    make_writable(directory)
    with full_disk_explained(directory):
        write_tensors(tensors, directory)
        whole = {
            "architectures": [pretrained.architecture], "model_type": family.model_type, "torch_dtype": "float32",
            **pretrained.extras, **config, **ids,
        }  # fmt: skip
        _write_json(directory / CONFIG, whole)
        if pretrained.generates:
            known = {name: token for name, token in ids.items() if token is not None}
            _write_json(directory / generation.FILE, known | dict(pretrained.generation))
        if pretrained.tokenizer is not None:
            longest = max_positions_of(pretrained.config)
            save_tokenizer(pretrained.tokenizer, directory, family.tokenizer, longest)


def _tokenizer(directory: Path, rows: int) -> Tokenizer | None:
    """The tokenizer, or None with a warning where it is of a kind that plmjax does not read.

    Raises:
        UserError: it is damaged, or has more ids than the embedding table has rows.
    """
    if not has_tokenizer(directory):
        return None
    try:
        tokenizer = load_tokenizer(directory)
    except UnreadTokenizerError as error:
        log.warning("The checkpoint has no tokenizer here: %s", error)
        return None
    size = tokenizer.vocabulary.size
    if size > rows:
        behind = [name for token, name in sorted(tokenizer.special_names.items()) if token >= rows]
        names = f" ({', '.join(behind[:5])}{', ...' if len(behind) > 5 else ''})" if behind else ""
        raise UserError(
            f"{directory} has a tokenizer of {size} ids{names} and an embedding table of {rows} rows: resize the "
            "table, or take the tokens without a row out of the tokenizer's files."
        )
    return tokenizer


def _architecture(given: JSON, family: Family, names: set[str], directory: Path) -> str:
    stated: str | None = next(iter(given.get("architectures") or []), None)
    if stated is not None and stated in family.forward and stated != family.base_model:
        return stated
    chosen = family.choose(names, stated if stated == family.base_model else None)
    if stated not in (None, family.base_model):
        log.warning("%s is of the class %s, which plmjax lacks; it is read as %s.", directory, stated, chosen)
    elif chosen != stated:
        log.warning("%s names %s; by its tensors it is read as %s.", directory, stated or "no class", chosen)
    return chosen


def _shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter of the network; nothing is computed."""
    module = build(config)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0))["params"])
    return {path: leaf.shape for path, leaf in flatten(shapes).items()}


def _trunk_name(name: str, family: Family) -> str:
    """A tensor's name without the prefix, and without TensorFlow's words for a norm's parameters."""
    name = name.removeprefix(family.prefix)
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith(old):
            name = name.removesuffix(old) + new
    return name


def _without_prefix(entry: Entry, family: Family) -> Entry:
    return entry._replace(
        name=_trunk_name(entry.name, family), aliases=tuple(_trunk_name(alias, family) for alias in entry.aliases)
    )


def _read_config(path: Path) -> JSON:
    if not path.is_file():
        raise UserError(f"{path.parent} has no {path.name}: give a directory that transformers wrote.")
    return read_object(path)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(dict(content), indent=2, sort_keys=True) + "\n", encoding="utf-8")
