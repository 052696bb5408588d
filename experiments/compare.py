"""Runs beside each other: a table and one picture of their loss curves.

    python -m experiments.compare --runs=runs/bert_mini,runs/gpt2_mini --picture=runs/minis.png

Losses are those of the main token loss on the validation split, in nats a predicted token; the unigram entropy is that
of the same targets, the loss of a network that knows only how frequent each token is.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from experiments import _main
from experiments._summary import main_loss
from plmjax.checkpoints.checkpointer import latest
from plmjax.errors import UserError
from plmjax.train.figures import add_legend, make_figure, save_figure
from plmjax.train.reporting import read_records, si

RUNS = flags.DEFINE_list("runs", None, "Working folders of experiments.pretrain, parted by commas.", required=True)
LOSSES = flags.DEFINE_list(
    "losses", [], "Names of losses or metrics, the best first: of each run the first that it has; empty: its main loss."
)
PICTURE = flags.DEFINE_string("picture", "", "Draw the curves into this PNG file; empty: no picture.")

NO_LOSS = ("split", "step", "epoch", "seconds", "unigram_entropy")  # of a validation's record
MARGIN = 0.05  # nats under the unigram entropy at which a run counts as below it


@dataclass(slots=True)
class Run:
    """What the table and the picture show of one run.

    Attributes:
        name: of its folder.
        tokens: read by its last validated step.
        speed: median tokens a second.
        curve: (tokens, validation loss in nats) at each validation.
        entropy: unigram entropy of the validation targets, in nats.
        accuracy: of the last validation; None where what is compared has none.
        names: the losses and metrics that it has.
    """

    name: str
    tokens: int
    speed: float
    curve: list[tuple[int, float]]
    entropy: float
    accuracy: float | None
    names: tuple[str, ...] = ()

    def tokens_to_fall_below(self) -> int | None:
        """Tokens after which the validation loss was first MARGIN under the unigram entropy."""
        return next((tokens for tokens, loss in self.curve if loss < self.entropy - MARGIN), None)


def read_run(workdir: Path, losses: list[str] | None = None) -> Run:
    """The first of `losses` that a run has, or its main loss.

    Raises UserError where the folder holds no run with a checkpoint and a validation.
    """
    checkpoint = latest(workdir / "checkpoints")
    records = list(read_records(workdir / "metrics.jsonl"))
    validations = [record for record in records if record["split"] == "validation"]
    if checkpoint is None or not validations:
        raise UserError(f"{workdir} has no validated run: --runs takes working folders of experiments.pretrain.")
    train = checkpoint.manifest["config"]["train"]
    per_step = train["batch_size"] * train["length"]
    loss = next((name for name in losses or [] if name in validations[-1]), None) or main_loss(validations[-1])
    return Run(
        name=workdir.name,
        tokens=validations[-1]["step"] * per_step,
        speed=statistics.median(r["tokens_per_second"] for r in records if r["split"] == "train"),
        curve=[(record["step"] * per_step, record[loss]) for record in validations],
        entropy=validations[-1]["unigram_entropy"],
        accuracy=validations[-1].get(f"{loss}_accuracy"),
        names=tuple(name for name, value in validations[-1].items() if name not in NO_LOSS and value is not None),
    )


def table(runs: list[Run]) -> str:
    """A Markdown table, a run a row."""
    lines = [
        "| run | tokens | tokens/s | validation loss | unigram entropy | loss below entropy | accuracy "
        "| tokens to fall below |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        loss, below = run.curve[-1][1], run.tokens_to_fall_below()
        cells = [run.name, si(run.tokens), si(run.speed), f"{loss:.3f}", f"{run.entropy:.3f}"]
        accuracy = "-" if run.accuracy is None else f"{run.accuracy:.1%}"
        cells += [f"{run.entropy - loss:.3f}", accuracy, "not yet" if below is None else si(below)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(runs: list[Run], path: Path) -> None:
    """Validation loss less the unigram entropy, over tokens, a curve a run; 0: only frequencies are known."""
    figure, (axes,) = make_figure(8, 4.8)
    for run in runs:
        tokens, losses = zip(*run.curve, strict=True)
        axes.plot(tokens, [loss - run.entropy for loss in losses], marker="o", markersize=2.5, label=run.name)
    axes.axhline(0.0, color="#555555", linestyle="--", linewidth=1, label="unigram entropy of the targets")
    axes.set(xlabel="tokens", ylabel="validation loss less unigram entropy (nats)")
    axes.grid(alpha=0.3)
    add_legend(axes)
    save_figure(figure, path)


def main() -> None:
    runs = [read_run(Path(name), LOSSES.value) for name in RUNS.value]
    for name in LOSSES.value:
        if not any(name in run.names for run in runs):
            known = ", ".join(sorted(set().union(*(run.names for run in runs))))
            raise UserError(f"--losses names {name!r}, which none of the runs has: choose from {known}.")
    print(table(runs))
    if PICTURE.value:
        draw(runs, Path(PICTURE.value))
        print(f"picture: {PICTURE.value}")


if __name__ == "__main__":
    _main.run(main)
