"""plmjax's own checkpoints as a `Pretrained`, and back."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from plmjax.checkpoints.checkpointer import Checkpointer, find, load_params
from plmjax.checkpoints.networks import one_network
from plmjax.checkpoints.provenance import git_revision, versions
from plmjax.checkpoints.serialize import from_json, to_json
from plmjax.checkpoints.state import State
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.load import load_tokenizer
from plmjax.data.tokenizers.words import ROLES, WordTokenizer
from plmjax.errors import UserError
from plmjax.interop.bilm import is_released, load_bilm
from plmjax.interop.hub import local_path
from plmjax.interop.huggingface import CONFIG, load_huggingface
from plmjax.interop.native_only import ELMO
from plmjax.interop.pretrained import Pretrained
from plmjax.interop.registry import BY_CLASS, architecture_of
from plmjax.interop.weight_map import flatten, nest
from plmjax.modules import reads_characters
from plmjax.modules.elmo_task import task_config
from plmjax.modules.facts import vocabulary_cuts_of
from plmjax.working_folder import SAVED, working_folder

TOKENIZER = "tokenizer"
SOURCE_TOKENIZER = "source_tokenizer"  # of what an encoder reads that has a vocabulary of its own
TASK_METADATA = ("task", "recipe")  # of a manifest's config, where plmjax has fine-tuned the network
VOCABULARY_PATHS = ("embeddings/tokens/embedding", "token_head/embedding", "token_head/bias")


def load(directory: str | Path, part: str | None = None) -> Pretrained:
    """A checkpoint: a working folder of experiments.pretrain, one step of it, or a Hugging Face directory or name.

    Rows that only pad the vocabulary are left off, so that no score goes to a token that does not exist.

    Args:
        directory: of the checkpoint, or a model's name on the hub; see hub.py.
        part: of a checkpoint with several networks, the one to load ("discriminator", "generator"); None: the one that
            the others served to train.

    Raises:
        UserError: there is no good checkpoint, it has no such part, or it is of a network that this version lacks.
    """
    path = local_path(directory)
    if not path.exists():
        raise UserError(
            f"There is no checkpoint at {path}: give a working folder, one of its steps or a Hugging Face directory."
        )
    if (path / CONFIG).is_file() and not (path / "checkpoints").exists():
        return load_huggingface(path)
    params, manifest = load_params(path)
    config, params = one_network(from_json(manifest["config"]["model"]), params, part, path)
    tokenizer = _find_tokenizer(Path(str(find(path).path)), manifest)
    metadata = {name: manifest["config"][name] for name in TASK_METADATA if name in manifest["config"]}
    if reads_characters(config) and not metadata:
        raise UserError(f"The checkpoint in {path} holds an ELMo, which reads sentences: use plmjax.load_bilm.")
    converted = manifest.get("huggingface", {})
    if tokenizer is not None and not converted:  # what came from Hugging Face goes back as it was
        config, params = cut_vocabulary(config, params, tokenizer.vocabulary.size)
    architecture = converted.get("architecture") or architecture_of(config)
    special = converted.get("special") or BY_CLASS[architecture].special_of(tokenizer)
    extras, generation = converted.get("extras", {}), converted.get("generation", {})
    source = _find_tokenizer(Path(str(find(path).path)), manifest, SOURCE_TOKENIZER)
    return Pretrained(config, params, architecture, tokenizer, special, extras, generation, metadata, source)


def load_for_task(directory: str | Path, part: str | None = None) -> Pretrained:
    """Loads as `load` does, and an ELMo, pre-trained here or released, as the vectors below a task's network.

    Of one that was fine-tuned, the task's network is left out.
    """
    path = local_path(directory)
    if is_released(path):
        bilm = load_bilm(path)
        words = WordTokenizer(list(ROLES.values()), len(ROLES), "words")
        return Pretrained(task_config(bilm.config), bilm.params, ELMO, words)
    if not path.exists() or (path / CONFIG).is_file():
        return load(path, part)
    _, manifest = load_params(path)
    if not reads_characters(from_json(manifest["config"]["model"])):
        return load(path, part)
    bilm = load_bilm(path)
    tokenizer = _find_tokenizer(Path(str(find(path).path)), manifest)
    return Pretrained(task_config(bilm.config), bilm.params, ELMO, tokenizer)


def save(pretrained: Pretrained, directory: str | Path) -> None:
    """Writes a plmjax checkpoint (step 0) that `load` and `--init_from` read, with the tokenizer beside it.

    Raises:
        UserError: the disk is full, or the folder holds something else than a saved model.
    """
    directory = Path(directory).expanduser()
    with working_folder(directory, SAVED):
        _save(pretrained, directory)


def _save(pretrained: Pretrained, directory: Path) -> None:
    save_tokenizers(pretrained, directory)
    manifest = {
        "config": {"model": to_json(pretrained.config), **pretrained.task_metadata},
        "store": "",  # made from no store: a run does not go on from here, it starts from here
        **fingerprints_of(pretrained),
        "revision": git_revision(),
        "versions": versions(),
        "huggingface": {
            "architecture": pretrained.architecture,
            "special": dict(pretrained.special),
            "extras": dict(pretrained.extras),
            "generation": dict(pretrained.generation),
        },
    }
    zero = jnp.zeros((), jnp.int32)
    writer = Checkpointer(directory / "checkpoints", keep=1)
    try:
        writer.save(State(zero, pretrained.params, (), zero, zero), manifest)
    finally:
        writer.close()


def save_tokenizers(pretrained: Pretrained, directory: Path) -> None:
    """Writes those that there are into folders of a working folder, where `load` looks for them."""
    for name, tokenizer in _tokenizers(pretrained).items():
        if tokenizer is not None:
            tokenizer.save(directory / name)


def fingerprints_of(pretrained: Pretrained) -> dict[str, str]:
    """The fields of a manifest by which `load` knows the tokenizers; empty where there is none."""
    found = _tokenizers(pretrained)
    return {name: tokenizer.fingerprint if tokenizer is not None else "" for name, tokenizer in found.items()}


def _tokenizers(pretrained: Pretrained) -> dict[str, Tokenizer | None]:
    return {TOKENIZER: pretrained.tokenizer, SOURCE_TOKENIZER: pretrained.source_tokenizer}


def cut_vocabulary(config: Any, params: dict[str, Any], size: int) -> tuple[Any, dict[str, Any]]:
    """The config and parameters without the rows of the vocabulary from `size` on."""
    rows = config.vocab_size
    if not size < rows:
        return config, params
    flat = flatten(params)
    last = len(vocabulary_cuts_of(config))  # where the vocabulary is in several tables, this one's end is cut
    for path in (*VOCABULARY_PATHS, f"embeddings/tokens_{last}/embedding", f"token_head/bias_{last}"):
        if path in flat:
            flat[path] = np.asarray(flat[path])[: len(flat[path]) - (rows - size)]
    return dataclasses.replace(config, vocab_size=size), nest(flat)


def _find_tokenizer(step: Path, manifest: dict[str, Any], name: str = TOKENIZER) -> Tokenizer | None:
    """The tokenizer with the checkpoint's fingerprint: beside the checkpoints, or in the store of the run."""
    if not manifest.get(name):
        return None
    workdir = step.parent.parent
    store = (manifest["config"].get("data") or {}).get("store") or workdir / "store"
    for candidate in (workdir / name, workdir / "store" / name, Path(store).expanduser() / name):
        if candidate.is_dir():
            tokenizer = load_tokenizer(candidate)
            if tokenizer.fingerprint == manifest[name]:
                return tokenizer
    return None
