"""How fast it is: the training step of a configuration, or the writing of text.

    python -m experiments.benchmark --config=experiments/configs/bert.py:mini --workdir=runs/bert
    python -m experiments.benchmark --generate                          # a GPT-2 of 4 layers of 256, untrained
    python -m experiments.benchmark --generate --vs_transformers    # and transformers with the same weights
    python -m experiments.benchmark --generate --from=runs/gpt2 --batch_sizes=1,16 --new_tokens=64

Prints one line of JSON: seconds to compile and a step, tokens a second, model-FLOPs utilisation (of the peak that is
known for the device, or --peak_tflops), and the most memory held, of the device or, on a CPU, of the process. Nothing
is saved. Text is written greedily and never ends early; `compilations` counts the programs for prompts and texts of
three lengths, and must be 1. Medians over repeats, in which the two libraries take turns.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
from absl import flags

from experiments import _main
from experiments.benchmarks.generation import measure_generation, transformers_writer, whole_number
from experiments.benchmarks.training import measure_training
from plmjax.errors import UserError
from plmjax.interop import load
from plmjax.interop.pretrained import Pretrained
from plmjax.modules import build
from plmjax.modules.gpt import VARIANTS
from plmjax.train.config import Config

DEFAULT = Path(__file__).parent / "configs" / "gpt2.py"

CONFIG = _main.define_config(
    f"{DEFAULT}:builtin",
    "Of the training step: FILE.py or FILE.py:VARIANT; --config.train.batch_size=8 and so on.",
    kinds=(Config,),
)
WORKDIR = flags.DEFINE_string("workdir", "", "The run's folder, for its token store; by default runs/NAME.")
STEPS = flags.DEFINE_integer("steps", 20, "Training steps that are timed.", lower_bound=1)
WARMUP = flags.DEFINE_integer("warmup", 3, "Training steps before them.", lower_bound=0)
PEAK = flags.DEFINE_float("peak_tflops", None, "10^12 FLOPs a second that a device reaches at best.", lower_bound=0)
GENERATE = flags.DEFINE_bool("generate", False, "Measure the writing of text in place of training.")
FROM = flags.DEFINE_string("from", None, "Of --generate: a checkpoint or Hugging Face directory.")
VOCABULARY = flags.DEFINE_integer("vocabulary", 50257, "Of --generate without --from: token rows.", lower_bound=1)
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "8"], "Of --generate: prompts at once.")
PROMPT_TOKENS = flags.DEFINE_integer("prompt_tokens", 32, "Of --generate: tokens of a prompt.", lower_bound=1)
NEW_TOKENS = flags.DEFINE_integer("new_tokens", 128, "Of --generate: tokens that are written.", lower_bound=1)
REPEATS = flags.DEFINE_integer("repeats", 5, "Of --generate: how often.", lower_bound=1)
VS_TRANSFORMERS = flags.DEFINE_bool("vs_transformers", False, "Of --generate: measure transformers with its cache too.")


def main() -> None:
    peak = None if PEAK.value is None else PEAK.value * 1e12
    if GENERATE.value:
        report = generation(peak)
    else:
        if FROM.value or VS_TRANSFORMERS.value:
            raise UserError("--from and --vs_transformers belong to --generate: add it, or leave them out.")
        config = CONFIG.value
        workdir = _main.run_folder(WORKDIR.value, config.name or "unnamed")
        report = measure_training(config, workdir, steps=STEPS.value, warmup=WARMUP.value, peak=peak)
    print(json.dumps(report))


def generation(peak: float | None) -> dict[str, Any]:
    """The report of --generate."""
    batch_sizes = [whole_number(text) for text in BATCH_SIZES.value]
    pretrained = load(FROM.value) if FROM.value else untrained(VOCABULARY.value)
    if not pretrained.generates:
        raise UserError(f"{pretrained.architecture} can't continue a text: give a decoder or an encoder-decoder.")
    beside = transformers_writer(pretrained) if VS_TRANSFORMERS.value else None
    sizes: dict[str, Any] = {"prompt_tokens": PROMPT_TOKENS.value, "new_tokens": NEW_TOKENS.value}
    return {
        "mode": "generation",
        "from": FROM.value,
        "architecture": pretrained.architecture,
        "vocabulary": pretrained.config.vocab_size,
        "device_kind": jax.devices()[0].device_kind,
        "runs": [
            measure_generation(
                pretrained, batch_size=batch_size, repeats=REPEATS.value, beside=beside, peak=peak, **sizes
            )
            for batch_size in batch_sizes
        ],
    }


def untrained(vocabulary: int) -> Pretrained:
    """A GPT-2 of 4 layers of 256 with random weights, which takes as long as a trained one."""
    config = replace(VARIANTS["mini"], vocab_size=vocabulary)
    params = build(config).init(jax.random.key(0))["params"]
    return Pretrained(config, jax.device_get(params), "GPT2LMHeadModel")


if __name__ == "__main__":
    _main.run(main)
