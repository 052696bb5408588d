"""What experiments.pretrain says at the end of a run."""

from typing import Any

import plmjax
from plmjax.checkpoints.checkpointer import read_manifest
from plmjax.checkpoints.serialize import from_json
from plmjax.modules import build
from plmjax.train.loop import Result
from plmjax.train.reporting import read_records

PROMPT = "The function returns"
NEW_TOKENS = 32


def describe_result(result: Result, steps: int) -> str:
    """The last validation, a text that a decoder has continued, and where everything is."""
    lines = [_headline(result, steps)]
    if result.status == "finished":
        lines += describe_parts(first_validation(result), result.validation)
        lines += _sample(result) if _is_decoder(result) else []
    lines.append(f"checkpoint: {result.checkpoint}")
    for name, file in (("metrics", "metrics.jsonl"), ("plot", "loss.png")):
        if (result.workdir / file).exists():
            lines.append(f"{name}: {result.workdir / file}")
    return "\n".join(lines)


def main_loss(record: dict[str, Any]) -> str:
    """The name of the loss of a validation's tokens: masked LM where it is a part, else the first with an accuracy."""
    if "masked_lm" in record:
        return "masked_lm"
    return next(name for name in record if f"{name}_accuracy" in record)


def first_validation(result: Result) -> dict[str, Any]:
    """The earliest validation that the run has written down, empty without one."""
    records = read_records(result.workdir / "metrics.jsonl")
    return next((record for record in records if record.get("split") == "validation"), {})


def describe_parts(first: dict[str, Any], last: dict[str, Any]) -> list[str]:
    """A line for each loss that has an accuracy: from where to where, and what saying one thing always would give."""
    lines = []
    for name in last:
        if f"{name}_accuracy" not in last:
            continue
        loss, accuracy = _change(first, last, name, ".4f"), _change(first, last, f"{name}_accuracy", ".1%")
        line = f"{name}: loss {loss}; accuracy {accuracy}"
        if f"{name}_perplexity" in last:
            line += f"; perplexity {_change(first, last, f'{name}_perplexity', ',.1f')}"
        if (positives := last.get(f"{name}_positives")) is not None:
            line += f" (the commoner answer always: {max(positives, 1 - positives):.1%})"
        if f"{name}_ranked" in last:
            line += f"; pairs ranked rightly {_change(first, last, f'{name}_ranked', '.1%')} (chance: 50%)"
        lines.append(line)
    return lines


def _change(first: dict[str, Any], last: dict[str, Any], name: str, form: str) -> str:
    end = format(last[name], form)
    return f"{format(first[name], form)} -> {end}" if name in first else end


def _headline(result: Result, steps: int) -> str:
    if result.status == "complete":
        return f"The run is complete: it is at step {result.step:,} of {steps:,}. Raise --config.train.steps to go on."
    if result.status == "stopped":
        return f"Stopped at step {result.step:,} of {steps:,}: run the same command again to resume."
    entropy, name = result.unigram_entropy, main_loss(result.validation)
    loss = result.validation[name]
    return (
        f"Finished {result.step:,} steps: validation loss of {name} {loss:.4f} nats, unigram entropy of its targets "
        f"{entropy:.4f}; the difference is {entropy - loss:.4f}."
    )


def _is_decoder(result: Result) -> bool:
    """Whether the run's network is one that continues texts."""
    manifest = read_manifest(result.checkpoint)
    return build(from_json(manifest["config"]["model"])).kind == "decoder"


def _sample(result: Result) -> list[str]:
    """A continued text."""
    model: Any = plmjax.load(result.checkpoint)
    if model.tokenizer is None:
        return []
    more = model.generate(PROMPT, max_new_tokens=NEW_TOKENS, do_sample=True, temperature=0.8, top_k=40)
    return [f"A text continued: {PROMPT}|{more}"]
