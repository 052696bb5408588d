"""Numbers on their way to the screen and the files."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.objectives import MixtureOfDenoisers
from plmjax.train import flops
from plmjax.train.flops import forward_flops, peak_flops
from plmjax.train.metrics import MetricAccumulator
from plmjax.train.reporting import Reporter, clock, parts, read_records, si, truncate
from tests.train.kit import tiny_config


def report(loss: float, weight: float, skipped: int = 0) -> dict:
    return {
        "losses": {"lm": (np.float32(loss * weight), np.float32(weight))},
        "metrics": {"accuracy": (np.float32(weight / 2), np.float32(weight))},
        "tokens": np.int32(10),
        "nonfinite_in_a_row": np.int32(skipped),
    }


def test_an_interval_is_the_mean_over_all_tokens() -> None:
    interval = MetricAccumulator()
    interval.add(report(1.0, 1.0), 10.0)
    interval.add(report(np.nan, 1.0, skipped=1), 10.0)
    interval.add(report(4.0, 3.0), 10.0)
    assert interval.means({"lm": 2.0}) == {"loss": 6.5, "accuracy": 0.5, "lm": 3.25}
    resumed = MetricAccumulator(json.loads(json.dumps(interval.sums)))
    assert resumed.means({}) == interval.means({})
    assert interval.tokens == 30
    interval.clear()
    assert interval.means({}) == {}


def test_truncate_leaves_each_step_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"split": "train", "step": step}) for step in (2, 4, 6)]
    path.write_text("\n".join([*lines, '{"split": "tr']))
    assert [record["step"] for record in truncate(path, 4)] == [2, 4]
    assert [record["step"] for record in read_records(path)] == [2, 4]
    assert truncate(tmp_path / "none.jsonl", 4) == []


@pytest.mark.parametrize("columns", [80, 200])
def test_reporter_writes_lines_tensorboard_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """A narrow terminal shows what matters most."""
    monkeypatch.setenv("COLUMNS", str(columns))
    config = tiny_config("", train__tensorboard=True, train__steps=1200)
    reporter = Reporter(tmp_path, config, 0)
    numbers = {
        "grad_norm": 1.0,
        "learning_rate": 1e-3,
        "nonfinite": 2,
        "tokens_per_second": 12345.0,
        "input_wait": 0.02,
    }
    losses = {"loss": 5.5, "masked_lm": 5.0, "next_sentence": 0.5, "masked_lm_accuracy": 0.25}
    reporter.write({"split": "train", "step": 600, "epoch": 1.5, **losses, **numbers, "mfu": 0.4})
    reporter.write({"split": "validation", "step": 600, "epoch": 1.5, "loss": 5.0, "unigram_entropy": 6.0})
    reporter.plot(force=True)
    reporter.close()
    out = capsys.readouterr().out
    assert all(len(line) <= columns for line in out.splitlines())
    for words in ("600/1,200", "epoch 1.50", "loss 5.5000", "skipped 2", "ETA", "unigram entropy 6.0000"):
        assert words in out
    for words in ("masked lm accuracy 25.0%", "12.3k tok/s", "lr 1.0e-03", "grad 1.00", "MFU 40.0%", "input wait 2%"):
        assert words in out or columns == 80
    assert ("next sentence 0.5000" in out) == (columns == 200)
    assert len(list(read_records(tmp_path / "metrics.jsonl"))) == 2
    assert list((tmp_path / "tensorboard").iterdir())
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_groups_have_lines_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    config = tiny_config("")
    config.objective = MixtureOfDenoisers()
    reporter = Reporter(tmp_path, config, 0, groups=config.objective.groups)
    values = {name: float(number) for number, name in enumerate(config.objective.groups[1:], start=1)}
    accuracies = {f"{name}_accuracy": 0.5 for name in values}
    perplexities = {f"{name}_perplexity": 9.0 for name in values}
    reporter.write({"split": "validation", "step": 3, "epoch": 1.0, "loss": 5.0} | values | accuracies | perplexities)
    reporter.close()
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "validation at step 3:  loss 5.0000"
    assert len(rest) > 1 and all(line.startswith("    ") and len(line) <= 60 for line in rest)
    said = " ".join(line.strip() for line in rest)
    assert said.startswith("denoiser R span 8 1.0000 (50.0% right); denoiser S 2.0000") and "span 3 0" not in said
    assert next(read_records(tmp_path / "metrics.jsonl"))["denoiser_S_perplexity"] == 9.0


def test_only_one_process_writes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    reporter = Reporter(tmp_path, tiny_config(""), 0, active=False)
    reporter.write({"split": "validation", "step": 1})
    reporter.say("hello")
    reporter.close()
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().out == ""


def test_short_words() -> None:
    assert [si(x) for x in (12, 1234, 2.5e6, 3e9)] == ["12", "1.2k", "2.5M", "3.0G"]
    assert [clock(x) for x in (5, 75, 3700)] == ["0:05", "1:15", "1:01:40"]
    assert parts({"split": "validation", "loss": 2.0, "causal_lm": 2.0}) == ["loss 2.0000"]


def test_flops_are_counted_through_loops_and_calls() -> None:
    x, w = jnp.ones((4, 8)), jnp.ones((3, 8, 8))

    def scanned(x: jax.Array, w: jax.Array) -> jax.Array:
        return jax.lax.scan(jax.checkpoint(lambda h, k: (jnp.tanh(h @ k), None)), x, w)[0]

    one = 2 * 4 * 8 * 8
    assert forward_flops(scanned, x, w) == 3 * one
    assert forward_flops(jax.jit(scanned), x, w) == 3 * one
    assert forward_flops(jax.vmap(lambda row: row @ w[0]), x) == one
    assert forward_flops(lambda x: jax.lax.cond(True, lambda x: x @ w[0], lambda x: x, x), x) == one
    q, k = jnp.ones((2, 5, 3, 7)), jnp.ones((2, 6, 3, 7))
    assert forward_flops(lambda q, k: jnp.einsum("bqhd,bkhd->bhqk", q, k), q, k) == 2 * 2 * 3 * 5 * 6 * 7
    image, kernel = jnp.ones((1, 3, 6)), jnp.ones((5, 3, 2))
    conv = lambda i, k: jax.lax.conv_general_dilated(i, k, (1,), "VALID")  # noqa: E731
    assert forward_flops(conv, image, kernel) == 2 * 5 * 5 * 3 * 2


class Device:
    """Stands for an accelerator."""

    platform = "gpu"

    def __init__(self, kind: str) -> None:
        self.device_kind = kind


def test_peaks() -> None:
    found = {
        kind: peak_flops(Device(kind))
        for kind in ("NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "TPU v5 lite", "TPU v5p")
    }
    assert found == {
        "NVIDIA H100 80GB HBM3": 989e12,
        "NVIDIA H100 PCIe": 756e12,
        "TPU v5 lite": 197e12,
        "TPU v5p": 459e12,
    }
    assert peak_flops(Device("Tesla V100-SXM2-16GB")) == 125e12
    assert peak_flops(Device("NVIDIA A10G")) == 70e12
    assert peak_flops(Device("Abacus")) is None
    assert 1e8 < flops._measured(size=256, seconds=0.02) < 1e14
