"""Greedy text and beam search equal those of `transformers`, token for token, for random networks.

Prompts are padded, one of them round a single token. An EOS is made so likely that texts of many lengths compete: else
stopping early or late would be the same.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plmjax.decode import generate_tokens
from plmjax.interop import load_huggingface, save_huggingface
from plmjax.interop.pretrained import Pretrained

torch = pytest.importorskip("torch", reason="the oracle needs PyTorch: install plmjax[parity]")
transformers = pytest.importorskip("transformers", reason="the oracle: install plmjax[parity]")

VOCABULARY, LENGTH, NEW, BEAMS = 83, 9, 14, 4
SEEDS = (0, 1)
MORE_SEEDS = tuple(range(2, 12))
BART = {
    "vocab_size": VOCABULARY, "max_position_embeddings": 32, "d_model": 24, "encoder_layers": 2, "decoder_layers": 2,
    "encoder_attention_heads": 3, "decoder_attention_heads": 3, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40,
    "init_std": 0.4,
}  # fmt: skip


def gpt2() -> Any:
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=64, n_embd=24, n_layer=2, n_head=3, initializer_range=0.4,
        bos_token_id=1, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def t5() -> Any:
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=24, d_kv=6, d_ff=40, num_layers=2, num_heads=3, initializer_factor=2.0,
        tie_word_embeddings=False, feed_forward_proj="gated-gelu", decoder_start_token_id=0, pad_token_id=0,
        eos_token_id=1,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


def bart() -> Any:
    """The released settings: texts begin with EOS and are forced to end with it."""
    return transformers.BartForConditionalGeneration(transformers.BartConfig(**BART))


def mbart() -> Any:
    """Without a start token of its own, and the language forced to be written first."""
    config = transformers.MBartConfig(**BART, scale_embedding=True, forced_bos_token_id=80)
    return transformers.MBartForConditionalGeneration(config)


def marian() -> Any:
    config = transformers.MarianConfig(
        **BART, scale_embedding=True, activation_function="swish", pad_token_id=82, eos_token_id=0,
        decoder_start_token_id=82, forced_eos_token_id=0,
    )  # fmt: skip
    return transformers.MarianMTModel(config)


def raise_eos(model: Any) -> None:
    """Makes the EOS likely at every step, and not so likely that nothing else is written."""
    eos = model.config.eos_token_id
    if isinstance(model, transformers.GPT2LMHeadModel):
        eos_D = model.transformer.wte.weight[eos]
        model.transformer.ln_f.bias += 6 * eos_D / (eos_D @ eos_D)  # 6 more for its score
    elif isinstance(model, transformers.T5ForConditionalGeneration):
        model.lm_head.weight[eos] *= 2.5  # it has no bias to raise
    else:
        model.final_logits_bias[:, eos] += 8 if isinstance(model, transformers.MarianMTModel) else 5


@dataclass
class Pair:
    """An oracle and ours, with the prompts that both are given."""

    oracle: Any
    ours: Pretrained
    input_ids: np.ndarray
    attention_mask: np.ndarray

    def both(self, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
        """Their text and ours."""
        settings = {"max_new_tokens": NEW, "pad_token_id": self.oracle.config.pad_token_id, **settings}
        tensors = torch.tensor(self.input_ids), torch.tensor(self.attention_mask)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = self.oracle.generate(tensors[0], attention_mask=tensors[1], do_sample=False, **settings).numpy()
        return theirs, self.ours.generate(self.input_ids, self.attention_mask, **settings)

    def lengths(self, texts: np.ndarray) -> np.ndarray:
        """The number of new tokens before the EOS."""
        new = texts[:, LENGTH if self.ours.module.kind == "decoder" else 1 :]
        ended = new == self.oracle.config.eos_token_id
        return np.where(ended.any(axis=1), ended.argmax(axis=1), new.shape[1])


def make_pair(make: Callable[[], Any], seed: int, folder: Path, ending: bool) -> Pair:
    torch.manual_seed(seed)
    oracle = make().eval()
    if ending:
        with torch.no_grad():
            raise_eos(oracle)
    oracle.save_pretrained(folder)
    ours = load_huggingface(folder)
    ours = replace(ours, config=replace(ours.config, unroll=False))  # compiles sooner
    attention_mask = (np.arange(LENGTH)[None] >= np.asarray([0, 3, 8, 5])[:, None]).astype(int)
    if ours.module.kind == "encoder_decoder" and seed % 2:  # for a decoder, `transformers` pads on the left only
        attention_mask = attention_mask[:, ::-1].copy()
    ids = np.random.default_rng(seed).integers(3, VOCABULARY - 3, (4, LENGTH))
    return Pair(oracle, ours, np.where(attention_mask, ids, oracle.config.pad_token_id), attention_mask)


NETWORKS = [gpt2, t5, bart, mbart, marian]


@pytest.fixture(params=NETWORKS)
def make(request: pytest.FixtureRequest) -> Callable[[], Any]:
    return request.param


GREEDY = [
    {},
    {"no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    {"repetition_penalty": 1.2},
]
SHAPES = ({}, {"no_repeat_ngram_size": 3}, {"repetition_penalty": 1.7})
CROSS = [
    {"num_beams": BEAMS, "length_penalty": penalty, "early_stopping": early, **shape}
    for penalty, early, shape in itertools.product((0.6, 1.0, 2.0), (True, False, "never"), SHAPES)
]
BESIDES = [
    {"num_beams": BEAMS, "min_new_tokens": 4, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    {"num_beams": BEAMS, "length_penalty": -1.0, "early_stopping": "never"},
]


def compare(pair: Pair, settings: dict[str, Any]) -> np.ndarray:
    theirs, ours = pair.both(**settings)
    np.testing.assert_array_equal(ours, theirs, err_msg=str(settings))
    return ours


def test_greedy_text_equals_the_oracles(make: Callable[[], Any], tmp_path: Path) -> None:
    for seed in SEEDS:
        pair = make_pair(make, seed, tmp_path / str(seed), ending=False)
        whole = compare(pair, {})
        varied = compare(pair, GREEDY[1])
        assert len(np.unique(varied[:, -NEW:])) > 6  # not the same whatever it reads
        for settings, texts in ((GREEDY[0], whole), *((settings, varied) for settings in GREEDY[1:])):
            compare(pair, settings | {"eos_token_id": int(texts[1, -NEW + 2])})


def test_beam_search_equals_the_oracles(make: Callable[[], Any], tmp_path: Path) -> None:
    """The whole cross of length penalties, ways to stop, and processors."""
    before = generate_tokens._beam_program._cache_size()
    lengths, different = set(), set()
    for seed in SEEDS:
        pair = make_pair(make, seed, tmp_path / str(seed), ending=True)
        for texts in search_all(pair):
            lengths |= set(pair.lengths(texts).tolist())
            different.add(texts.tobytes())
    assert (
        generate_tokens._beam_program._cache_size() - before <= 3
    )  # without processors, with them, with a least length
    # Texts of many lengths, and settings that matter.
    assert len(lengths) > 4 and len(different) > 12, (lengths, len(different))


def test_forced_tokens_are_kept_when_a_checkpoint_is_written(tmp_path: Path) -> None:
    pair = make_pair(mbart, 0, tmp_path / "theirs", ending=False)
    save_huggingface(pair.ours, tmp_path / "ours")
    settings = transformers.GenerationConfig.from_pretrained(tmp_path / "ours")
    assert (settings.forced_bos_token_id, settings.forced_eos_token_id) == (80, 2)
    assert load_huggingface(tmp_path / "ours").special == pair.ours.special
    free = pair.ours.generate(
        pair.input_ids, pair.attention_mask, forced_bos_token_id=None, forced_eos_token_id=None, max_new_tokens=NEW
    )
    assert (free[:, 1] != 80).any() and (free[:, -1] != 2).any()


@pytest.mark.slow
@pytest.mark.parametrize("seed", MORE_SEEDS)
def test_beam_search_equals_the_oracles_for_more_networks(make: Callable[[], Any], seed: int, tmp_path: Path) -> None:
    pair = make_pair(make, seed, tmp_path, ending=True)
    for settings in GREEDY:
        compare(pair, settings)
    search_all(pair)


def search_all(pair: Pair) -> list[np.ndarray]:
    return [compare(pair, search | {"num_return_sequences": 3}) for search in CROSS + BESIDES]
