"""Texts to copy, and tiny networks of `transformers` with random weights, for tests of writing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import plmjax
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.finetune.backbones import backbone_of
from plmjax.finetune.config import FineTune
from plmjax.finetune.network import limits_of, network_config
from plmjax.finetune.task_models import make_task_model
from plmjax.finetune.task_models.seq2seq import Seq2SeqModel
from plmjax.interop import Pretrained
from plmjax.modules import Bound, build
from plmjax.tasks.seq2seq import Seq2SeqTask
from tests.finetune.kit import OTHER, recipe, write_jsonl


def texts(count: int, seed: int, longest: int = 6) -> list[str]:
    """Words in no order."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(OTHER, rng.integers(1, longest + 1))) for _ in range(count)]


def copying(folder: Path, count: int = 24, longest: int = 4, **fields: Any) -> Seq2SeqTask:
    """The first two words of a text, or the only one."""
    rows = [{"text": text, "target": " ".join(text.split()[:2])} for text in texts(count, 5, longest)]
    file = str(write_jsonl(folder / "copying.jsonl", rows))
    return Seq2SeqTask(train=file, validation=file, **{"metric": ("exact_match", "perplexity"), **fields})


def seq2seq_model_of(pretrained: Pretrained, task: Any, given: FineTune | None = None) -> tuple[Any, Bound]:
    """The task model of a task that is prepared, and the checkpoint's network."""
    given = given or recipe()
    task_model = make_task_model(task, backbone_of(pretrained, task, given), limits_of(pretrained.config, given), given)
    assert isinstance(task_model, Seq2SeqModel)
    return task_model, Bound(build(network_config(pretrained.config, task_model, given)), pretrained.params)


def torch_network(name: str, tokenizer: Tokenizer, folder: Path) -> tuple[Any, Pretrained]:
    """A model of `transformers` and the same as a checkpoint of ours."""
    import torch
    import transformers

    v = tokenizer.vocabulary
    ids = {"pad_token_id": v.pad, "bos_token_id": v.bos, "eos_token_id": v.eos, "vocab_size": v.size}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "bart": (
            "BartForConditionalGeneration",
            {
                "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
                "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
                "max_position_embeddings": 64, "decoder_start_token_id": v.eos,
            },
        ),
        "t5": (
            "T5ForConditionalGeneration",
            {
                "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2,
                "decoder_start_token_id": v.pad,
            },
        ),
        "gpt2": ("GPT2LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}),
    }  # fmt: skip
    architecture, sizes = kinds[name]
    kind = getattr(transformers, architecture)
    torch.manual_seed(0)
    model = kind(kind.config_class(**ids, **sizes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    loaded = plmjax.load(folder)
    return model, replace(loaded, tokenizer=tokenizer, config=replace(loaded.config, unroll=False))
