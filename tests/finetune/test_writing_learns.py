"""Tiny networks that learn to copy two words, from end to end: scores, files, what loads, exports and writes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import pytest

import plmjax
from plmjax.data.tokenizers import Tokenizer
from plmjax.decode.respond import respond
from plmjax.finetune.config import FineTune
from plmjax.finetune.loop import finetune
from plmjax.interop.huggingface import special_of
from plmjax.interop.source_frames import make_request
from plmjax.modules import Bound
from tests.finetune.kit import checkpoint, recipe
from tests.finetune.text_kit import copying, texts


def quick(**changes: Any) -> FineTune:
    given = recipe(**changes)
    given.dropout = 0.0
    given.optimizer.learning_rate = 5e-3
    return given


@pytest.mark.slow
@pytest.mark.parametrize("family", ["t5", "bart", "gpt", "gpt1"])
def test_a_tiny_network_learns_to_copy(family: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    start = checkpoint(tokenizer, "gpt" if family == "gpt1" else family)
    start = replace(start, special=special_of(tokenizer, start.family))
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
    request = make_request(loaded, {})
    blocks = list(respond(Bound(loaded.module, loaded.params), loaded.tokenizer, sources, request))
    assert blocks == [f"> {source}\n{' '.join(source.split()[:2])}" for source in sources]
    plmjax.save_huggingface(loaded, tmp_path / "exported")
    again = plmjax.load(tmp_path / "exported")
    assert make_request(again, {}) == request
