"""Scores equal those made of `transformers`' log-softmax, on random networks of four kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plmjax.interop import load_huggingface
from plmjax.modules import Bound
from plmjax.tasks.framing import Instance
from plmjax.tasks.scoring import Scorer
from plmjax.tasks.scoring_format import find_scoring_format
from tests.decode.conftest import SIZE, WordTokenizer

torch = pytest.importorskip("torch", reason="the oracle needs PyTorch: install plmjax[parity]")
transformers = pytest.importorskip("transformers", reason="the oracle: install plmjax[parity]")

PAD, EOS, CLS, SEP, MASK, SENTINEL = 0, 1, 3, 4, 5, 99
REQUESTS = [
    Instance([], [10, 11, 12]),
    Instance([20, 21, 22, 23, 24, 25], [13, 14]),
    Instance([30], [40, 41, 42, 43, 44, 45, 46]),
]
SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}


def gpt2() -> Any:
    sizes = {"n_positions": 32, "n_embd": 24, "n_layer": 2, "n_head": 3, "initializer_range": 0.4}
    config = transformers.GPT2Config(vocab_size=SIZE, bos_token_id=EOS, eos_token_id=EOS, **sizes)
    return transformers.GPT2LMHeadModel(config)


def bert() -> Any:
    config = transformers.BertConfig(
        vocab_size=SIZE, max_position_embeddings=32, initializer_range=0.4, pad_token_id=PAD, **SMALL
    )
    return transformers.BertForMaskedLM(config)


def t5() -> Any:
    config = transformers.T5Config(
        vocab_size=SIZE, d_model=24, d_kv=6, d_ff=40, num_layers=2, num_heads=3, initializer_factor=2.0,
        tie_word_embeddings=False, feed_forward_proj="gated-gelu", decoder_start_token_id=PAD,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


def bart() -> Any:
    config = transformers.BartConfig(
        vocab_size=SIZE, d_model=24, encoder_layers=2, decoder_layers=2, encoder_attention_heads=3,
        decoder_attention_heads=3, encoder_ffn_dim=40, decoder_ffn_dim=40, max_position_embeddings=32, init_std=0.4,
        pad_token_id=PAD, bos_token_id=None, eos_token_id=EOS, decoder_start_token_id=EOS, forced_eos_token_id=None,
    )  # fmt: skip
    return transformers.BartForConditionalGeneration(config)


def log_p(logits: Any, targets: list[int]) -> float:
    """The sum over states that each predict one target."""
    found = torch.log_softmax(logits.double(), -1)
    return float(found[torch.arange(len(targets)), torch.tensor(targets)].sum())


def by_gpt2(oracle: Any, context: list[int], text: list[int]) -> float:
    tokens = [*(context or [EOS]), *text]
    logits = oracle(torch.tensor([tokens])).logits[0, :-1]
    return log_p(logits[-len(text) :], text)


def by_bert(oracle: Any, context: list[int], text: list[int]) -> float:
    whole = [CLS, *context, *text, SEP]
    total = 0.0
    for place in range(1 + len(context), len(whole) - 1):
        masked = torch.tensor([[*whole[:place], MASK, *whole[place + 1 :]]])
        total += log_p(oracle(masked).logits[0, place][None], [whole[place]])
    return total


def by_t5(oracle: Any, context: list[int], text: list[int]) -> float:
    decoder = torch.tensor([[PAD, SENTINEL, *text[:-1]]])
    logits = oracle(input_ids=torch.tensor([[*context, SENTINEL, EOS]]), decoder_input_ids=decoder).logits[0]
    return log_p(logits[1:], text)


def by_bart(oracle: Any, context: list[int], text: list[int]) -> float:
    decoder = torch.tensor([[EOS, *context, *text[:-1]]])
    logits = oracle(input_ids=torch.tensor([[*context, MASK, EOS]]), decoder_input_ids=decoder).logits[0]
    return log_p(logits[len(context) :], text)


@pytest.mark.parametrize(("make", "by_hand"), [(gpt2, by_gpt2), (bert, by_bert), (t5, by_t5), (bart, by_bart)])
def test_scores_equal_the_oracles(make: Any, by_hand: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    oracle = make().eval()
    oracle.save_pretrained(tmp_path)
    pretrained = load_huggingface(tmp_path)
    tokenizer = WordTokenizer()
    shown = pretrained.family.scoring_format
    scoring_format = find_scoring_format(
        pretrained.config, pretrained.module.kind, tokenizer, pretrained.special, {}, shown=shown
    )
    scorer = Scorer(Bound(pretrained.module, pretrained.params), tokenizer, scoring_format, length=16)
    with torch.no_grad():
        expected = [by_hand(oracle, list(request.context), list(request.text)) for request in REQUESTS]
    assert [score.log_p for score in scorer.score(REQUESTS)] == pytest.approx(expected, rel=1e-5, abs=1e-4)
