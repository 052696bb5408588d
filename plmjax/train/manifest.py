"""What made a run: written into each checkpoint, and compared before a run goes on."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

import plmjax
from plmjax.checkpoints.serialize import first_difference, to_json
from plmjax.errors import UserError
from plmjax.train.config import Config

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "grain", "sentencepiece", "tokenizers")


def run_manifest(config: Config, store: Any) -> dict[str, Any]:
    """The part of a checkpoint's manifest that is the same for all steps of a run.

    `config` as JSON, the fingerprints of the store and of its tokenizer, the git revision, and the versions of Python,
    plmjax and its packages.
    """
    return {
        "config": to_json(config),
        "store": store.fingerprint,
        "tokenizer": store.tokenizer.fingerprint,
        "revision": git_revision(),
        "versions": versions(),
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    }


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python, plmjax and the packages that matter for the result."""
    found = {"python": platform.python_version(), "plmjax": plmjax.__version__}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def git_revision() -> str | None:
    """The commit that plmjax's source is at, with '+' where tracked files differ from it; None outside a clone."""
    root = Path(plmjax.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        revision = _git(root, "rev-parse", "HEAD")
        return revision + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def check_same_run(saved: dict[str, Any], current: dict[str, Any], workdir: Any) -> None:
    """Refuses to go on with a checkpoint that another run wrote.

    Args:
        saved: the checkpoint's manifest.
        current: `run_manifest` of this run.
        workdir: named in the message.

    Raises:
        UserError: another tokenizer or store, or a configuration that differs where it matters; names the first field.
    """
    for field, what in (("tokenizer", "tokenizer"), ("store", "token store")):
        if saved[field] != current[field]:
            raise UserError(
                f"The run in {workdir} was trained with another {what} ({saved[field][:12]} instead of "
                f"{current[field][:12]}): give it back its data, or start a new run in another --workdir."
            )
    difference = first_difference(saved["config"], current["config"])
    if difference is not None:
        path, old, new = difference
        raise UserError(
            f"The run in {workdir} has {path} = {old!r}, but {new!r} is asked for now: restore the value, or start a "
            "new run in another --workdir."
        )
