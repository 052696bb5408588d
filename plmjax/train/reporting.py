"""Reports the numbers of a run: the progress line, metrics.jsonl, TensorBoard, Weights & Biases and a picture."""

import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from plmjax.checkpoints.serialize import to_json
from plmjax.errors import UserError
from plmjax.train.config import LoopConfig
from plmjax.train.plot import plot_losses

# Entries of a record that are not losses or metrics of the objective.
BOOKKEEPING = frozenset(
    [
        "split",
        "step",
        "epoch",
        "loss",
        "grad_norm",
        "param_norm",
        "learning_rate",
        "tokens",
        "nonfinite",
        "tokens_per_second",
        "step_seconds",
        "input_wait",
        "mfu",
        "unigram_entropy",
        "seconds",
    ]
)
INDENT = "    "  # of the lines of groups
PLOT_SECONDS = 30.0  # between two drawings; the last one is always made


class Reported(Protocol):
    """A configuration of pre-training or fine-tuning, as far as the reporter reads it."""

    @property
    def train(self) -> LoopConfig:
        """Says how many steps there are, and what else is written."""

    @property
    def name(self) -> str:
        """The name of the run."""


class Reporter:
    """Writes the run's records. Only the process with `active` writes anything.

    A record is a flat dict with "split" ("train", "validation" or "entropy"), "step" and numbers. Those beyond `step`,
    which a killed run may have left behind, are deleted first: after a resumed run each step is there once.

    Args:
        workdir: the run's folder.
        config: what to write, and the number of steps.
        step: the step that the run resumes from.
        active: whether this process writes.
        groups: names of losses that a validation shows on lines of their own.
    """

    def __init__(
        self, workdir: Path, config: Reported, step: int, *, active: bool = True, groups: tuple[str, ...] = ()
    ) -> None:
        self._config, self._active, self._workdir, self._groups = config, active, workdir, groups
        self._steps, self._first = config.train.steps, step
        self._began = time.perf_counter()
        self._plotted = 0.0
        self.losses: tuple[str, ...] = ()  # names of the objective's losses, once they are known
        self._bar: Any = None
        self._tensorboard: Any = None
        self._wandb: Any = None
        if not active:
            return
        self._path = workdir / "metrics.jsonl"
        self.records = truncate(self._path, step)
        self._file = self._path.open("a", buffering=1)
        if config.train.tensorboard:
            from tensorboardX import SummaryWriter  # takes seconds to import

            self._tensorboard = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)
        if config.train.wandb:
            self._wandb = _start_wandb(workdir, config)
        if sys.stderr.isatty():
            self._bar = tqdm(total=self._steps, initial=step, unit="step", dynamic_ncols=True)

    def say(self, text: str) -> None:
        """Prints a line beside the progress bar."""
        if self._bar is not None:
            self._bar.write(text)
        elif self._active:
            print(text, flush=True)

    def tick(self) -> None:
        """One step was started."""
        if self._bar is not None:
            self._bar.update(1)

    def write(self, record: dict[str, Any]) -> None:
        """Writes one record everywhere and shows it."""
        if not self._active:
            return
        self.records.append(record)
        self._file.write(json.dumps(record) + "\n")
        split, step = record["split"], record["step"]
        numbers = {f"{split}/{name}": value for name, value in record.items() if isinstance(value, (int, float))}
        if self._tensorboard is not None:
            for name, value in numbers.items():
                self._tensorboard.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(numbers, step=step)
        if split == "train" and self._bar is not None:
            self._bar.set_postfix_str("  ".join([f"epoch {record['epoch']:.2f}", *parts(record)]), refresh=False)
        elif split == "train":
            head = f"step {step:>{len(f'{self._steps:,}')},}/{self._steps:,}  epoch {record['epoch']:.2f}"
            self.say(as_line(head, parts(record), f"ETA {clock(self._remaining(step))}"))
        elif split == "validation":
            groups = self._groups
            whole = {name: value for name, value in record.items() if not (groups and name.startswith(groups))}
            self.say(as_lines(f"validation at step {step:,}:", parts(whole)))
            if said := by_group(record, groups):
                width = shutil.get_terminal_size().columns
                self.say(textwrap.fill(said, width, initial_indent=INDENT, subsequent_indent=INDENT))

    def plot(self, force: bool = False) -> None:
        """Refreshes WORKDIR/loss.png, unless that was done a moment ago."""
        if self._active and (force or time.perf_counter() - self._plotted > PLOT_SECONDS):
            plot_losses(self.records, self._workdir / "loss.png", self._config.name, self.losses)
            self._plotted = time.perf_counter()

    def close(self) -> None:
        """Closes the files and the progress bar."""
        if not self._active:
            return
        if self._bar is not None:
            self._bar.close()
        self._file.close()
        if self._tensorboard is not None:
            self._tensorboard.close()
        if self._wandb is not None:
            self._wandb.finish()

    def _remaining(self, step: int) -> float:
        done = max(step - self._first, 1)
        return (time.perf_counter() - self._began) / done * (self._steps - step)


def truncate(path: Path, step: int) -> list[dict[str, Any]]:
    """Deletes the records after `step` and any half-written line from a JSONL file; returns the others."""
    kept = [record for record in read_records(path) if record["step"] <= step]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))
    os.replace(temporary, path)
    return kept


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a metrics.jsonl, lines that are not whole left out."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and isinstance(record.get("step"), int):
                yield record


def parts(record: dict[str, Any]) -> list[str]:
    """The words of a progress line, what matters most first."""
    words = [] if record.get("loss") is None else [f"loss {record['loss']:.4f}"]
    shown = {name: value for name, value in record.items() if name not in BOOKKEEPING and value is not None}
    accuracies = [f"{name.replace('_', ' ')} {value:.1%}" for name, value in shown.items() if "accuracy" in name]
    losses = [
        f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in shown.items()
        if "accuracy" not in name and len(shown) > 1 and value != record.get("loss")
    ]
    if record["split"] != "train":
        entropy = record.get("unigram_entropy")
        return [*words, *losses, *accuracies, *([] if entropy is None else [f"(unigram entropy {entropy:.4f})"])]
    words += [f"skipped {record['nonfinite']}"] if record["nonfinite"] else []
    words += [*accuracies, f"{si(record['tokens_per_second'])} tok/s", f"lr {record['learning_rate']:.1e}"]
    words += [] if record.get("grad_norm") is None else [f"grad {record['grad_norm']:.2f}"]
    words += [*losses, *([f"MFU {record['mfu']:.1%}"] if "mfu" in record else [])]
    return [*words, f"input wait {record['input_wait']:.0%}"]


def as_line(head: str, words: list[str], tail: str) -> str:
    """One line that fits the terminal: of the words, those that there is room for, the first ones before others."""
    room, kept = shutil.get_terminal_size().columns - len(f"{head}  {tail}"), []
    for word in words:
        if len(word) + 2 <= room:
            kept.append(word)
            room -= len(word) + 2
    return "  ".join([head, *kept, tail])


def as_lines(head: str, words: list[str]) -> str:
    """All words, on as many lines as they need in the terminal; no word is broken."""
    width, lines = shutil.get_terminal_size().columns, [head]
    for word in words:
        longer = f"{lines[-1]}  {word}"
        lines = [*lines[:-1], longer] if len(longer) <= width else [*lines, INDENT + word]
    return "\n".join(lines)


def by_group(record: dict[str, Any], groups: tuple[str, ...]) -> str:
    """The loss and accuracy of each group that a validation has seen; empty where there is none."""
    seen = [name for name in groups if name in record]
    return "; ".join(
        f"{name.replace('_', ' ')} {record[name]:.4f} ({record[f'{name}_accuracy']:.1%} right)" for name in seen
    )


def si(value: float) -> str:
    """12345 as 12.3k."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{unit}"
    return f"{value:.0f}"


def clock(seconds: float) -> str:
    """75 as 1:15, 3700 as 1:01:40."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _start_wandb(workdir: Path, config: Reported) -> Any:
    """A run whose id is kept in the working folder, so that a resumed run continues it."""
    try:
        import wandb  # an extra, which few have installed
    except ImportError:
        raise UserError(
            "train.wandb is set, but wandb is not installed: pip install 'plmjax[wandb]', or leave it empty."
        ) from None
    known = workdir / "wandb_id.txt"
    if not known.exists():
        known.write_text(wandb.util.generate_id())
    return wandb.init(
        project=config.train.wandb,
        name=config.name or None,
        id=known.read_text().strip(),
        resume="allow",
        dir=str(workdir),
        config=to_json(config),
    )
