"""A tiny token store, tiny runs on it, and a way to start one in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from plmjax.checkpoints.config import CheckpointConfig
from plmjax.data.hashing import hash_file
from plmjax.data.store.store import write_manifest
from plmjax.data.tokenizers.load import train_sentencepiece
from plmjax.modules.gpt import GPTConfig
from plmjax.objectives import CausalLM
from plmjax.train.config import Config, DataConfig, MeshConfig, OptimizerConfig, TrainConfig

WORDS = [a + b for a in ("ba", "do", "ki", "lu", "me", "po", "ra", "su") for b in ("n", "t", "sh", "rin", "mel", "k")]
REPOSITORY = Path(__file__).resolve().parents[2]


def sentences(count: int, seed: int) -> list[str]:
    """Sentences of a language in which each word allows three next ones."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        word, words = int(rng.integers(len(WORDS))), []
        for _ in range(int(rng.integers(4, 12))):
            words.append(WORDS[word])
            word = (5 * word + int(rng.integers(3))) % len(WORDS)
        out.append(" ".join(words) + ".")
    return out


def make_store(directory: Path, seed: int = 0) -> Path:
    """A store of some thousand tokens in two splits."""
    tokenizer = train_sentencepiece(sentences(600, seed), directory / "tokenizer", vocab_size=320, sentinels=20)
    for split, documents in (("train", 60), ("validation", 12)):
        text = [
            sentences(8, 1000 * seed + number + (500 if split == "validation" else 0)) for number in range(documents)
        ]
        encoded = [[tokenizer.encode(sentence) for sentence in document] for document in text]
        lengths = [len(tokens) for document in encoded for tokens in document]
        arrays = {
            "tokens": np.array([t for document in encoded for tokens in document for t in tokens], np.uint16),
            "document_starts": np.cumsum([0, *(sum(map(len, document)) for document in encoded)], dtype=np.int64),
            "sentence_starts": np.cumsum([0, *lengths], dtype=np.int64),
        }
        (directory / split).mkdir()
        for name, array in arrays.items():
            np.save(directory / split / f"{name}.npy", array)
    files = {str(p.relative_to(directory)): hash_file(p) for p in sorted(directory.rglob("*")) if p.is_file()}
    write_manifest(directory, {"tokenizer": {"fingerprint": tokenizer.fingerprint}}, files)
    return directory


def tiny_config(store: Path | str, **changes: Any) -> Config:
    """A GPT-2 of two layers on the tiny store; `changes` are dotted overrides, with __ for the dot."""
    config = Config(
        model=GPTConfig(
            num_layers=2, num_heads=2, d_model=16, d_ff=32, max_positions=32, dropout=0.1, attention_dropout=0.0,
            unroll=False,  # compiles sooner
        ),
        objective=CausalLM(),
        data=DataConfig(store=str(store)),
        train=TrainConfig(
            steps=12, batch_size=8, length=16, log_every=4, eval_every=8, eval_batches=2, tensorboard=False,
            compilation_cache="",
        ),
        optimizer=OptimizerConfig(learning_rate=1e-2, warmup_steps=2, clip_norm=1.0, weight_decay=0.01),
        mesh=MeshConfig(),
        checkpoint=CheckpointConfig(every_steps=5, every_minutes=0.0, keep=2),
        name="tiny",
    )  # fmt: skip
    for path, value in changes.items():
        section, _, field = path.partition("__")
        if field:
            setattr(config, section, replace(getattr(config, section), **{field: value}))
        else:
            setattr(config, section, value)
    return config


def start_run(
    workdir: Path, store: Path, changes: dict[str, Any], code: str = "", devices: int = 1
) -> subprocess.Popen[str]:
    """`train` in a new Python process, after `code`, which may patch things; it prints "RESULT status step"."""
    script = (
        "import json, logging\n"
        "logging.basicConfig()\n"
        f"{code}\n"
        "from tests.train.kit import tiny_config\n"
        "from plmjax.train.loop import pretrain\n"
        f"config = tiny_config({str(store)!r}, **json.loads({json.dumps(json.dumps(changes))}))\n"
        f"result = pretrain(config, {str(workdir)!r})\n"
        "print('RESULT', result.status, result.step, flush=True)\n"
    )
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
        "PYTHONPATH": str(REPOSITORY),
    }
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, env=environment, **output)
