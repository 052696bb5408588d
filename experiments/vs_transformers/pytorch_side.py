"""The PyTorch side, a process of its own: python -m experiments.vs_transformers.pytorch_side PLAN FOLDER.

The loop does what a recipe of plmjax says: AdamW with bias correction, no decay of biases and norms, linear warm-up and
decay, gradients clipped by their norm, the checkpoint of the best validation. It shuffles all examples of a pass and
fills each batch up to its longest row, as `transformers`' own examples do; plmjax sorts rows by length in pools.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from experiments.vs_transformers.sides import Run, read_side, write_side

Rows = list[dict[str, Any]]
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")


def run_side(plan: dict[str, Any], folder: Path) -> None:
    """Runs the seeds that are not done, and writes FOLDER/side.json after each."""
    torch.set_num_threads(plan["threads"])
    tokenizer = AutoTokenizer.from_pretrained(plan["from"])
    splits = {name: encode(tokenizer, found, plan["recipe"]) for name, found in plan["examples"].items()}
    runs: list[Run] = read_side(folder)["runs"]
    about = {"versions": {"torch": torch.__version__, "transformers": transformers.__version__}}
    first = plan["recipe"]["train"]["seed"]
    for seed in range(first, first + plan["seeds"]):
        if any(run["seed"] == seed for run in runs):
            print(f"seed {seed} is done: its results are in {folder}", flush=True)
            continue
        runs.append(SeedRun(plan, tokenizer, splits, seed, folder / f"seed_{seed}").run())
        write_side(folder, runs, True, about)


def encode(tokenizer: Any, examples: list[Any], recipe: dict[str, Any]) -> Rows:
    """Rows of ids, not filled up, with "labels"."""
    texts = [list(column) for column in zip(*(found for found, _ in examples), strict=True)]
    options: dict[str, Any] = {"truncation": recipe["truncation"]}
    if recipe["truncation"] and recipe["max_length"]:
        options["max_length"] = recipe["max_length"]
    encoded = tokenizer(*texts, **options)
    rows = [{name: values[number] for name, values in encoded.items()} for number in range(len(examples))]
    return [row | {"labels": label} for row, (_, label) in zip(rows, examples, strict=True)]


def make_network(plan: dict[str, Any]) -> Any:
    """The checkpoint's network with a fresh class head and the recipe's dropout."""
    config = AutoConfig.from_pretrained(plan["from"], num_labels=len(plan["task"]["labels"]))
    dropout = plan["recipe"]["dropout"]
    if dropout is not None:
        config.update({name: dropout for name in DROPOUTS if hasattr(config, name)})
    return AutoModelForSequenceClassification.from_pretrained(plan["from"], config=config, dtype=torch.float32)


def groups(network: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with decay, and those without: biases and norms, as plmjax/train/weight_decay_mask.py has it."""
    norms = [name for name, module in network.named_modules() if isinstance(module, torch.nn.LayerNorm)]
    named = dict(network.named_parameters())
    free = {name for name in named if name.endswith("bias") or name.rpartition(".")[0] in norms}
    return [
        {"params": [value for name, value in named.items() if name not in free], "weight_decay": weight_decay},
        {"params": [value for name, value in named.items() if name in free], "weight_decay": 0.0},
    ]


class SeedRun:
    """One run; its folder holds the best checkpoint until it is scored."""

    def __init__(self, plan: dict[str, Any], tokenizer: Any, splits: dict[str, Rows], seed: int, folder: Path) -> None:
        self.plan, self.tokenizer, self.splits, self.seed, self.folder = plan, tokenizer, splits, seed, folder
        self.train, self.given = plan["recipe"]["train"], plan["recipe"]["optimizer"]
        torch.manual_seed(seed)
        self.network = make_network(plan)
        self.optimizer = torch.optim.AdamW(
            groups(self.network, self.given["weight_decay"]),
            lr=self.given["learning_rate"],
            betas=(self.given["b1"], self.given["b2"]),
            eps=self.given["eps"],
        )
        self.schedule = transformers.get_linear_schedule_with_warmup(
            self.optimizer, plan["warmup_steps"], plan["steps"]
        )

    def run(self) -> Run:
        """Trains, and scores the best step on every split but the training examples."""
        began, evaluating = time.perf_counter(), 0.0
        every = self.train["eval_every"] or self.plan["epoch_steps"]
        best, best_step, worse, step = -1.0, 0, 0, 0
        batches = self._batches()
        with tqdm(total=self.plan["steps"], desc=f"transformers, seed {self.seed}", unit="step") as bar:
            for step in range(1, self.plan["steps"] + 1):
                loss = self.step(next(batches))
                bar.update()
                if step % self.train["log_every"] == 0:
                    bar.set_postfix_str(f"loss {loss:.4f}")
                if step % every and step != self.plan["steps"]:
                    continue
                paused, accuracy = time.perf_counter(), self.accuracy("validation")
                bar.write(f"validation at step {step:,}: accuracy {accuracy:.1%}")
                if accuracy > best:
                    best, best_step, worse = accuracy, step, 0
                    self.network.save_pretrained(self.folder / "best")
                else:
                    worse += 1
                evaluating += time.perf_counter() - paused
                if self.train["patience"] and worse >= self.train["patience"]:
                    break
        trained = time.perf_counter() - began - evaluating
        if best_step != step:
            self.network = AutoModelForSequenceClassification.from_pretrained(self.folder / "best")
        scores = {name: self.accuracy(name) for name in self.splits if name != "train"}
        shutil.rmtree(self.folder)
        seconds = time.perf_counter() - began
        found = {"seed": self.seed, "best_step": best_step, "steps": step, "scores": scores}
        return found | {"seconds": seconds, "train_seconds": trained}

    def step(self, rows: Rows) -> float:
        """One update; the loss before it."""
        self.network.train()
        loss = self.network(**self._batch(rows)).loss
        loss.backward()
        if self.given["clip_norm"]:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.given["clip_norm"])
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return float(loss.detach())

    @torch.no_grad()
    def accuracy(self, split: str) -> float:
        """Of a split, read from its shortest row to its longest."""
        self.network.eval()
        rows = sorted(self.splits[split], key=lambda row: len(row["input_ids"]))
        size, right = self.train["eval_batch_size"] or self.train["batch_size"], 0
        for at in range(0, len(rows), size):
            batch = self._batch(rows[at : at + size])
            right += int((self.network(**batch).logits.argmax(-1) == batch["labels"]).sum())
        return right / len(rows)

    def _batches(self) -> Iterator[Rows]:
        """Batches without end, a shuffled pass after the other."""
        rows, size = self.splits["train"], self.train["batch_size"]
        order = torch.Generator().manual_seed(self.seed)
        while True:
            chosen = torch.randperm(len(rows), generator=order).tolist()
            for at in range(0, len(rows), size):
                yield [rows[number] for number in chosen[at : at + size]]

    def _batch(self, rows: Rows) -> dict[str, torch.Tensor]:
        return dict(self.tokenizer.pad(rows, return_tensors="pt"))


if __name__ == "__main__":
    run_side(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
