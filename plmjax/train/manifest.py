"""The manifest of a run: each checkpoint carries it, and a run that resumes compares it."""

from pathlib import Path
from typing import Any

import jax

from plmjax.checkpoints.provenance import git_revision, versions
from plmjax.checkpoints.serialize import first_difference, to_json
from plmjax.data.store.store import Store
from plmjax.errors import UserError
from plmjax.train.config import Config
from plmjax.train.schedules import ENDING


def run_manifest(config: Config, store: Store) -> dict[str, Any]:
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


def check_same_run(saved: dict[str, Any], current: dict[str, Any], workdir: Path) -> None:
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
                f"{current[field][:12]}): use the same data, or start a new run in another --workdir."
            )
    difference = first_difference(saved["config"], current["config"])
    if difference is not None:
        path, old, new = difference
        raise UserError(
            f"The run in {workdir} has {path} = {old!r}, but the configuration now has {new!r}: restore the "
            "value, or start a new run in another --workdir."
        )


def start_of(init_from: str) -> str:
    """What a manifest calls the checkpoint that a run starts from: its absolute path, empty where there is none."""
    return str(Path(init_from).expanduser().absolute()) if init_from else ""


def check_same_start(saved: dict[str, Any], init_from: str, workdir: Path) -> None:
    """Refuses another --init_from than the run has started from; a run that resumes need not name it again.

    Raises:
        UserError: names both.
    """
    started = saved.get("init_from")  # which manifests of older versions lack
    if init_from and started is not None and started != start_of(init_from):
        before = f"started from {started}" if started else "started from random parameters"
        raise UserError(
            f"The run in {workdir} {before}, and --init_from names {init_from}: leave it out to go on, or start a new "
            "run in another --workdir."
        )


def changed_schedule(saved: dict[str, Any], current: dict[str, Any]) -> str:
    """What to say of a rate that falls to another end than before, as where a run gets more steps; else nothing."""
    before, now = (manifest["config"]["optimizer"].get("decay_steps", 0) for manifest in (saved, current))
    if before == now or current["config"]["optimizer"]["schedule"] not in ENDING:
        return ""
    return f"the learning rate now falls until step {now:,}, and not until step {before:,}: it jumps here"
