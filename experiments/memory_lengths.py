"""The validation loss of a recurrent run by the length of its memory, longer than in training or shorter.

    python -m experiments.memory_lengths --from=runs/transformer_xl_mini --memory_lengths=0,32,64,128,256

Prints a table and draws memory_lengths.png into the run's folder. A length of 0 reads each segment alone.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
from absl import flags

from experiments import _main
from plmjax.checkpoints.checkpointer import load_params
from plmjax.checkpoints.serialize import from_json
from plmjax.errors import UserError
from plmjax.modules import build
from plmjax.objectives.recurrent_lm import Reading, RecurrentLM
from plmjax.train.config import Config
from plmjax.train.data import open_store, validation_batches, validation_loader
from plmjax.train.evaluation import Evaluator
from plmjax.train.figures import add_legend, make_figure, save_figure, whole_steps
from plmjax.train.sharding import make_mesh, replicated

FROM = flags.DEFINE_string("from", None, "Working folder of experiments.pretrain.", required=True)
LENGTHS = flags.DEFINE_list("memory_lengths", ["0", "32", "64", "128", "256"], "States that are remembered.")
SEGMENT = flags.DEFINE_integer("segment", 0, "Tokens of a segment; 0: as the run's validation has it.", lower_bound=0)
SAME_LENGTH = flags.DEFINE_bool("same_length", False, "Every token sees as many: the last memory_length.")
CLAMP = flags.DEFINE_integer("clamp", 0, "Distances beyond count as this; 0: as the run has it.", lower_bound=0)


def main() -> None:
    workdir = Path(FROM.value).absolute()
    lengths = [_whole_number(text) for text in LENGTHS.value]
    params, manifest = load_params(workdir)
    config: Config = from_json(manifest["config"])
    if not isinstance(config.objective, RecurrentLM):
        raise UserError(f"The run in {workdir} was trained with {type(config.objective).__name__}: give a RecurrentLM.")
    store = open_store(config.data, workdir)
    mesh = make_mesh(config.mesh)
    losses = {}
    print("| memory | validation loss, nats | perplexity |\n|---|---|---|")
    with jax.set_mesh(mesh):
        params = jax.device_put(params, replicated(mesh))
        for length in lengths:
            found = measure(config, store, mesh, params, length)
            losses[length] = found["causal_lm"]
            print(f"| {length} | {losses[length]:.4f} | {found['causal_lm_perplexity']:.2f} |", flush=True)
    picture = workdir / "memory_lengths.png"
    draw(losses, config.model.memory_length, picture)
    print(f"picture: {picture}")


def measure(config: Config, store: Any, mesh: Any, params: Any, length: int) -> dict[str, float]:
    """The validation of a run whose network remembers `length` states."""
    read = Reading(
        length=SEGMENT.value or config.objective.evaluation.length,
        same_length=SAME_LENGTH.value and length > 0,
        clamp=CLAMP.value or config.objective.evaluation.clamp,
    )
    config = replace(
        config,
        model=replace(config.model, memory_length=length),
        objective=replace(config.objective, evaluation=read),
    )
    evaluator = Evaluator(
        mesh, replicated(mesh), module=build(config.model), objective=config.objective, vocabulary=store.vocabulary
    )
    return evaluator(params, validation_batches(config, validation_loader(config, store, mesh), mesh))


def draw(losses: dict[int, float], trained: int, path: Path) -> None:
    """The losses over the lengths, the one of training marked."""
    figure, (axes,) = make_figure(6, 4)
    axes.plot(list(losses), list(losses.values()), marker="o")
    axes.axvline(trained, color="grey", linestyle=":", label=f"{trained} in training")
    axes.set(xlabel="states remembered", ylabel="validation loss (nats a token)")
    whole_steps(axes.xaxis)
    add_legend(axes)
    save_figure(figure, path)


def _whole_number(text: str) -> int:
    if not text.strip().isdigit():
        raise UserError(f"--memory_lengths holds {text!r}: give whole numbers from 0 on, parted by commas.")
    return int(text)


if __name__ == "__main__":
    _main.run(main)
