"""Tiny networks that learn to copy two words, from end to end: scores, files, what loads, exports and writes."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import pytest

import plmjax
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.finetune.config import FineTune
from plmjax.finetune.features import make_batch
from plmjax.finetune.loop import finetune
from plmjax.finetune.network import manifest_of
from plmjax.modules import Bound
from tests.finetune.kit import checkpoint, recipe
from tests.finetune.text_kit import copying, seq2seq_model_of, texts


def quick(**changes: Any) -> FineTune:
    given = recipe(**changes)
    given.dropout = 0.0
    given.optimizer.learning_rate = 5e-3
    return given


@pytest.mark.slow
@pytest.mark.parametrize("family", ["t5", "bart", "gpt", "gpt1"])
def test_a_tiny_network_learns_to_copy(family: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    start = checkpoint(tokenizer, "gpt" if family == "gpt1" else family)
    start = replace(start, special=start.family.special_of(tokenizer))
    task = copying(tmp_path)
    given = quick(steps=600, eval_every=200, batch_size=12)
    found = finetune(start, task, given, tmp_path / "run", devices=jax.devices()[:1])
    assert found.best.scores["validation"]["exact_match"] == 1.0
    assert found.best.scores["validation"]["perplexity"] < 1.2
    assert found.about["compiled"] == {"training": found.about["buckets"], "evaluation": found.about["buckets"]}
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert all(line["prediction"] == line["target"] for line in lines)
    loaded = plmjax.load(tmp_path / "run")
    assert loaded.generates
    sources = texts(3, 5, 4)
    assert loaded.generate(sources) == [" ".join(source.split()[:2]) for source in sources]
    plmjax.save_huggingface(loaded, tmp_path / "exported")
    again = plmjax.load(tmp_path / "exported")
    assert again.generation == dict(loaded.special) | dict(loaded.generation)  # its file has the ids too
    assert again.generate(sources[:2]) == loaded.generate(sources[:2])


WRITERS = (
    "bart", "bart_decoder", "bart_lm", "ctrl", "gpt", "gpt3", "gpt_neo", "lamda", "marian", "marian_decoder", "mbart",
    "mbart_decoder", "t5", "t5_lm", "t5_prefix_lm", "transformer_xl",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", WRITERS)
def test_every_decoder_and_encoder_decoder_writes(family: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Traced only: the shapes of what the task model gives."""
    start = checkpoint(tokenizer, family)
    start = replace(start, special=start.family.special_of(tokenizer))
    given = recipe()
    given.generation.num_beams = 2
    if family == "mbart":
        pytest.skip("an mBART needs tokens of languages")
    task_model, network = seq2seq_model_of(start, copying(tmp_path), given)
    features = task_model.features(copying(tmp_path).splits()["train"], learn=True)
    batch = make_batch(features, 32, 16, task_model.padding)
    for train in (True, False):
        losses, _, outputs = jax.eval_shape(partial(traced, task_model, network.module, train), network.params, batch)
        assert set(losses) == {"task"}
        assert {name: output.shape for name, output in outputs.items()} == (
            {} if train else {"written": (32, task_model.recipe.generation.max_new_tokens), "written_count": (32,)}
        )
    manifest = manifest_of(start, network.config, task_model.recipe, task_model, {})
    assert manifest["huggingface"]["generation"]["num_beams"] == 2


def traced(task_model: Any, module: Any, train: bool, params: Any, batch: Any) -> Any:
    return task_model.forward(Bound(module, params), batch, train=train)
