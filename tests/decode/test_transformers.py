"""Greedy text and beam search equal those of `transformers` for random networks, with padding and ended rows."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plmjax.interop import load_huggingface

torch = pytest.importorskip("torch", reason="the oracle needs PyTorch: install plmjax[parity]")
transformers = pytest.importorskip("transformers", reason="the oracle: install plmjax[parity]")

NEW, PAD = 14, 0
SIZES = {"vocab_size": 83, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": PAD}


def gpt2() -> Any:
    config = transformers.GPT2Config(n_positions=64, n_embd=24, n_layer=2, n_head=3, initializer_range=0.4, **SIZES)
    return transformers.GPT2LMHeadModel(config)


def t5() -> Any:
    config = transformers.T5Config(
        d_model=24, d_kv=6, d_ff=40, num_layers=2, num_heads=3, initializer_factor=2.0, tie_word_embeddings=False,
        feed_forward_proj="gated-gelu", decoder_start_token_id=PAD, **SIZES,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


@pytest.mark.parametrize("make", [gpt2, t5])
def test_greedy_text_equals_the_oracles(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    oracle = make().eval()
    oracle.save_pretrained(tmp_path)
    pretrained = load_huggingface(tmp_path)

    generator = np.random.default_rng(0)
    input_ids = generator.integers(2, 83, (4, 9))
    attention_mask = (np.arange(9)[None] >= np.asarray([0, 3, 8, 5])[:, None]).astype(int)
    input_ids = np.where(attention_mask, input_ids, PAD)

    def expected(eos: int) -> np.ndarray:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return oracle.generate(
                torch.tensor(input_ids),
                attention_mask=torch.tensor(attention_mask),
                max_new_tokens=NEW,
                do_sample=False,
                num_beams=1,
                eos_token_id=eos,
                pad_token_id=PAD,
            ).numpy()

    whole = expected(eos=1)
    assert len(np.unique(whole[:, -NEW:])) > 6
    for eos in (1, int(whole[1, -NEW + 2])):
        ids = pretrained.generate(input_ids, attention_mask, max_new_tokens=NEW, eos_token_id=eos, pad_token_id=PAD)
        np.testing.assert_array_equal(ids, expected(eos))


SEARCHES = [
    {"length_penalty": 0.6, "early_stopping": True},
    {"length_penalty": 1.0, "early_stopping": False, "no_repeat_ngram_size": 3},
    {"length_penalty": 2.0, "early_stopping": "never", "repetition_penalty": 1.7},
    {"early_stopping": True, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3, "min_new_tokens": 4},
    {"num_beams": 1, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
]


@pytest.mark.parametrize("make", [gpt2, t5])
def test_beam_search_equals_the_oracles(make: Any, tmp_path: Path) -> None:
    """Left-padded prompts; an EOS that greedy text reaches early, so that finished texts compete."""
    torch.manual_seed(1)
    oracle = make().eval()
    oracle.save_pretrained(tmp_path)
    pretrained = load_huggingface(tmp_path)
    generator = np.random.default_rng(1)
    attention_mask = (np.arange(9)[None] >= np.asarray([0, 3, 8, 5])[:, None]).astype(int)
    input_ids = np.where(attention_mask, generator.integers(2, 83, (4, 9)), PAD)
    greedy = pretrained.generate(input_ids, attention_mask, max_new_tokens=NEW)
    eos = int(greedy[1, -NEW + 3])
    for search in SEARCHES:
        settings = {"num_beams": 4, "max_new_tokens": NEW, "eos_token_id": eos, "pad_token_id": PAD, **search}
        settings["num_return_sequences"] = 1 if settings["num_beams"] == 1 else 3
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mask = torch.tensor(attention_mask)
            expected = oracle.generate(torch.tensor(input_ids), attention_mask=mask, do_sample=False, **settings)
        ids = pretrained.generate(input_ids, attention_mask, **settings)
        np.testing.assert_array_equal(ids, expected.numpy(), err_msg=str(search))
