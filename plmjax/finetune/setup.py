"""The setup that all seeds of a run share: rows, the network's shape, the optimizer and the compiled programs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from plmjax.checkpoints.serialize import to_json
from plmjax.data import buckets
from plmjax.errors import UserError
from plmjax.finetune.backbones import backbone_of
from plmjax.finetune.backbones.base import tokenizer_of
from plmjax.finetune.backbones.text import TEXT_TO_TEXT
from plmjax.finetune.compiled_steps import CompiledSteps
from plmjax.finetune.config import FineTune
from plmjax.finetune.features import Batch, Feature, make_batch
from plmjax.finetune.fingerprints import fingerprint, fingerprint_of_examples
from plmjax.finetune.network import filler, limits_of, network_config
from plmjax.finetune.new_encoder import with_new_encoder
from plmjax.finetune.results import peak_memory
from plmjax.finetune.task_models import make_task_model
from plmjax.interop import Pretrained
from plmjax.modules import build
from plmjax.tasks.prompts_text_to_text import with_prompts
from plmjax.tasks.supervised import Example, SupervisedTask
from plmjax.train.optimizers import make_optimizer
from plmjax.train.schedules import make_schedule
from plmjax.train.state import abstract_state, parameter_count

Scores = dict[str, float]


class EncodedSplit:
    """The examples of a split and their rows."""

    def __init__(self, examples: list[Example], features: list[Feature]) -> None:
        self.examples, self.features = examples, features
        self.lengths = np.array([feature.length for feature in features], np.int64)


class FineTuneSetup:
    """A checkpoint, a task and a recipe, ready to be trained with any seed.

    Args:
        pretrained: from `plmjax.load`.
        task: of plmjax.tasks; its labels are filled in.
        recipe: how.
        mesh: from `sharding.make_mesh`.
        from_random: start from random parameters.

    Raises:
        UserError: the network, the task or an example does not allow it.
    """

    def __init__(
        self, pretrained: Pretrained, task: SupervisedTask, recipe: FineTune, mesh: Mesh, from_random: bool
    ) -> None:
        task = with_prompts(task) if recipe.task_model == TEXT_TO_TEXT else task
        if recipe.markers is not None:
            pretrained = replace(pretrained, tokenizer=tokenizer_of(pretrained).with_markers(recipe.markers))
        pretrained = with_new_encoder(pretrained, task, recipe)
        backbone = backbone_of(pretrained, task, recipe)
        self.pretrained, self.tokenizer, self.task, self.mesh = pretrained, tokenizer_of(pretrained), task, mesh
        self.from_random = from_random
        examples = task.splits()
        self.task_model = make_task_model(task, backbone, limits_of(pretrained.config, recipe), recipe)
        self.task_model.prepare(examples)
        recipe = self.task_model.recipe
        self.splits = {
            name: EncodedSplit(found, self.task_model.features(found, learn=name == "train"))
            for name, found in examples.items()
        }
        self.fill = filler(pretrained, backbone)
        self.config = network_config(pretrained.config, self.task_model, recipe)
        self.module = build(self.config)
        longest = max(int(split.lengths.max()) for split in self.splits.values())
        lengths = self.splits["train"].lengths.tolist()
        self.buckets = buckets.bucket_lengths(lengths, longest, recipe.train.buckets)
        self.epoch_steps = -(-len(lengths) // recipe.train.batch_size)
        self.steps = recipe.train.steps or max(1, round(recipe.train.epochs * self.epoch_steps))
        self.recipe = replace(recipe, train=replace(recipe.train, steps=self.steps))
        self._make_programs()

    def _make_programs(self) -> None:
        train = self.recipe.train
        for name in ("warmup_steps", "decay_steps"):
            if value := getattr(self.recipe.optimizer, name):
                raise UserError(
                    f"optimizer.{name} is {value}, but fine-tuning warms up for train.warmup_ratio of its steps and "
                    "ends with the last one: leave it 0."
                )
        warmup = round(train.warmup_ratio * self.steps)
        given = replace(self.recipe.optimizer, warmup_steps=warmup)
        self.optimizer = self.recipe.update_strategy.wrap_optimizer(make_optimizer(given), self.config, self.steps)
        self.abstract = abstract_state(self.module, self.optimizer, train.seed, self.mesh)
        self.programs = CompiledSteps(
            self.mesh,
            self.abstract,
            self.module,
            self.task_model,
            self.tokenizer.vocabulary,
            optimizer=self.optimizer,
            schedule=make_schedule(given, self.steps),
            clip_norm=given.clip_norm,
            microbatches=train.microbatches,
        )

    @property
    def counts(self) -> dict[str, int]:
        """Examples of each split."""
        return {name: len(split.examples) for name, split in self.splits.items()}

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """The training rows of one pass, int64 indices."""
        split = self.splits["train"]
        return self.task.order(rng, [split.examples[feature.example] for feature in split.features])

    def lengths(self) -> dict[str, list[int]]:
        """Tokens of each example's longest row, of every split but the training examples."""
        found = {name: [0] * len(split.examples) for name, split in self.splits.items() if name != "train"}
        for name, tokens in found.items():
            for feature in self.splits[name].features:
                tokens[feature.example] = max(tokens[feature.example], feature.length)
        return found

    def batch(self, features: list[Feature], rows: int) -> Batch:
        """Rows filled up to their bucket's length, and to `rows`."""
        longest = max(feature.length for feature in features)
        return make_batch(features, rows, buckets.bucket_of(longest, self.buckets), self.task_model.padding)

    def scores(self, name: str, params: Any) -> tuple[Scores, list[dict[str, Any]]]:
        """The loss and the metrics of a split, as far as it has labels, and its predictions as JSON."""
        split, rows_of_batch = self.splits[name], self.recipe.train.eval_batch_size or self.recipe.train.batch_size
        outputs: list[Any] = [None] * len(split.features)
        sums: dict[str, np.ndarray] = {}
        for rows in buckets.sorted_plan(split.lengths, rows_of_batch):
            batch = self.batch([split.features[row] for row in rows], rows_of_batch)
            losses, _, found = jax.device_get(self.programs.predict(params, batch))
            for key, pair in losses.items():
                sums[key] = sums.get(key, 0.0) + np.array([pair.sum, pair.weight], np.float64)
            for place, row in enumerate(rows):
                outputs[row] = {key: value[place] for key, value in found.items()}
        predictions = self.task_model.predictions(split.examples, split.features, outputs)
        rows_of: dict[int, list[Any]] = {}
        for feature, output in zip(split.features, outputs, strict=True):
            rows_of.setdefault(feature.example, []).append(output)
        shown = [
            self.task_model.readable(example, prediction, rows_of[number])
            for number, (example, prediction) in enumerate(zip(split.examples, predictions, strict=True))
        ]
        known = [number for number, example in enumerate(split.examples) if example.target is not None]
        if not known:
            return {}, shown
        coefficients = self.task_model.coefficients()
        means = {key: float(total / weight) if weight else 0.0 for key, (total, weight) in sums.items()}
        loss = sum(coefficients.get(key, 1.0) * mean for key, mean in means.items())
        return self.task_model.measure(loss, [split.examples[i] for i in known], [predictions[i] for i in known]), shown

    def chance(self) -> dict[str, Scores]:
        """The scores, on each split, of the answer that needs no reading."""
        guess = self.task.baseline(self.splits["train"].examples)
        if guess is None:
            return {}
        return {
            name: self.task.measure(labelled, [guess] * len(labelled))
            for name, split in self.splits.items()
            if name != "train" and (labelled := [example for example in split.examples if example.target is not None])
        }

    def identity(self, about: dict[str, Any]) -> dict[str, Any]:
        """Everything that a seed's result depends on, as it comes back from JSON; the caller adds `about`."""
        start = "random" if self.from_random else fingerprint(self.pretrained.params)
        data = {name: fingerprint_of_examples(split.examples) for name, split in self.splits.items()}
        found = {"recipe": to_json(self.recipe), "task": to_json(self.task), "parameters": start, "examples": data}
        if self.pretrained.source_tokenizer is not None:  # of which the parameters say nothing yet
            found["source_tokenizer"] = self.pretrained.source_tokenizer.fingerprint
        return json.loads(json.dumps({**about, **found}))

    def measured(self) -> dict[str, Any]:
        """The time, memory and programs that the run took."""
        return {
            "buckets": list(self.buckets),
            "compiled": self.programs.counts(),
            "compile_seconds": self.programs.seconds,
            "peak_memory_bytes": peak_memory(),
        }

    def description(self, seeds: int) -> list[str]:
        """The lines that a run begins with."""
        source = "random parameters" if self.from_random else "the checkpoint's parameters"
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        rows = self.splits["train"]
        padded = sum(buckets.bucket_of(int(length), self.buckets) for length in rows.lengths)
        cut = f"; {self.task_model.cut_rows:,} rows cut" if self.task_model.cut_rows else ""
        params = self.abstract.params
        count, trained = parameter_count(params), self.recipe.update_strategy.num_trainable(params)
        size = f"{count:,} parameters" + (f", {trained:,} of them trained" if trained < count else "")
        return [
            f"task: {self.task_model.description}; examples: {counts}{cut}",
            f"network: {type(self.config).__name__}, {size}, from {source}",
            f"rows of up to {', '.join(map(str, self.buckets))} tokens, {rows.lengths.sum() / padded:.0%} of them real",
            f"{self.steps:,} steps of {self.recipe.train.batch_size} rows, {self.epoch_steps:,} an epoch; "
            f"{seeds} seed(s)",
        ]
