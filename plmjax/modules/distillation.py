"""A student and its frozen teacher, as one network (DistilBERT, Sanh et al. 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
from jax import Array

from plmjax.errors import UserError

POSITIONS = "student/embeddings/positions"


@dataclass(slots=True, unsafe_hash=True)
class DistillationConfig:
    """The student's config, and where the teacher is.

    The teacher's config and parameters are read from its checkpoint when a run begins; the run's own checkpoints hold
    both networks, so that it goes on without the teacher's.
    """

    student: Any
    teacher_from: str = ""  # a working folder or step of plmjax, or a Hugging Face directory
    teacher: Any = None  # its config; None: from its checkpoint
    initialise: str = "teacher"  # the student starts from layers of the "teacher", or at "random" (Table 4)
    layers: tuple[int, ...] | None = None  # the teacher's; None: evenly spread from the first to the last
    freeze_positions: bool = False  # the student's positions stay as they begin, as DistilBERT's were (released)

    kept: ClassVar[str] = "student"  # the network that is of use after training

    @property
    def vocab_size(self) -> int:
        """Rows of the student's token table; 0 until the vocabulary is known."""
        return self.student.vocab_size

    @property
    def max_positions(self) -> int | None:
        """Positions that both networks have; None where neither counts them."""
        known = [most for one in (self.student, self.teacher) if (most := getattr(one, "max_positions", None))]
        return min(known) if known else None

    def networks(self) -> Mapping[str, Any]:
        """The configs of the two by name."""
        return {"student": self.student, "teacher": self.teacher}

    def copied_layers(self) -> tuple[int, ...]:
        """The teacher's layer that each of the student's starts from: 0, 2, 4, 7, 9, 11 for 6 of 12, as released.

        Raises:
            UserError: `layers` are not as many as the student's, or not the teacher's.
        """
        wanted, there = self.student.num_layers, self.teacher.num_layers
        if self.layers is None:
            return tuple(round(i * (there - 1) / max(wanted - 1, 1)) for i in range(wanted))
        if len(self.layers) != wanted or not all(0 <= layer < there for layer in self.layers):
            raise UserError(
                f"model.layers is {self.layers}: it must name {wanted} of the teacher's layers 0 to {there - 1}, "
                "one for each of the student's."
            )
        return tuple(self.layers)


class TeacherStudent:
    """The two modules over one tree of parameters: `student/...` and `teacher/...`; the teacher's have no gradient.

    With `freeze_positions` the student's positions have none either. The released DistilBERT was so trained: its config
    has "sinusoidal_pos_embds" (transformers, examples/research_projects/distillation/training_configs/
    distilbert-base-uncased.json), which makes the table one without gradient, and the teacher's is then copied into it.
    The command's --freeze_pos_embs by itself freezes a student RoBERTa's or GPT-2's alone (train.py,
    freeze_pos_embeddings).
    """

    kind: ClassVar[str] = "distillation"

    def __init__(self, config: DistillationConfig, modules: Mapping[str, Any]) -> None:
        for name, module in modules.items():
            if module.kind != "encoder":
                raise UserError(
                    f"The {name} must be an encoder, but {type(module.config).__name__} is of kind {module.kind!r}; "
                    "choose another network."
                )
        if config.freeze_positions and config.initialise == "random":
            raise UserError(
                "model.freeze_positions is True, but model.initialise is 'random', whose positions would never be "
                "learned: set one of them to its default."
            )
        self.config, self.modules = config, modules
        self.frozen = ("teacher", POSITIONS) if config.freeze_positions else ("teacher",)

    def init(self, key: Array) -> dict[str, Any]:
        """{"params": nested dict of float32 arrays}; the teacher's are to be replaced."""
        return {
            "params": {
                name: module.init(jax.random.fold_in(key, number))["params"]
                for number, (name, module) in enumerate(self.modules.items())
            }
        }

    def subnetwork(self, params: Any, name: str) -> tuple[Any, Any]:
        """(module, its parameters) of "student" or "teacher"."""
        own = params[name]
        if name in self.frozen:
            own = jax.lax.stop_gradient(own)
        elif name == "student" and POSITIONS in self.frozen:
            if "positions" not in own["embeddings"]:
                raise UserError(
                    f"model.freeze_positions is True, but a {type(self.config.student).__name__} learns no positions: "
                    "leave it False."
                )
            held = jax.lax.stop_gradient(own["embeddings"]["positions"])
            own = {**own, "embeddings": {**own["embeddings"], "positions": held}}
        return self.modules[name], own
