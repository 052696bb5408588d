"""How fast a network writes greedily, and how fast `transformers` with its cache does with the same weights.

Legend: B prompts, L their length, N new tokens.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.training import peak_memory
from plmjax.decode.generate_tokens import compilations, prepare_inputs
from plmjax.decode.prefill import decode_step, prefill
from plmjax.decode.sampling import GREEDY
from plmjax.errors import UserError
from plmjax.interop import save_huggingface
from plmjax.interop.pretrained import Pretrained
from plmjax.modules import Bound
from plmjax.train.flops import forward_flops, peak_flops

# No text ends before it is full: every repeat has the same number of tokens.
ENDLESS: dict[str, Any] = {"eos_token_id": None, "forced_eos_token_id": None, "forced_bos_token_id": None}

Writer = Callable[[np.ndarray, int], np.ndarray]  # (prompts [B, L], N) -> the new tokens [B, N]


def measure_generation(
    pretrained: Pretrained,
    *,
    batch_size: int,
    prompt_tokens: int,
    new_tokens: int,
    repeats: int,
    beside: Writer | None = None,
    peak: float | None = None,
) -> dict[str, Any]:
    """Writes `new_tokens` after random prompts, and two other lengths of the same bucket, which must compile nothing.

    Args:
        pretrained: a decoder or an encoder-decoder.
        batch_size, prompt_tokens, new_tokens: B, L and N.
        repeats: how often; times are medians. The two take turns, so that what slows the machine slows both.
        beside: what to measure beside it, `transformers_writer`'s.
        peak: FLOPs a second of the device; None: what train/flops.py knows of it.

    Returns:
        Numbers under the names that experiments.benchmark prints, those of `beside` under "transformers".
    """
    rows = pretrained.config.vocab_size
    prompts_BL = np.random.default_rng(0).integers(0, rows, (batch_size, prompt_tokens))
    ours = writer(pretrained)
    before, began = compilations(), time.perf_counter()
    written_BN = ours(prompts_BL, new_tokens)
    first = time.perf_counter() - began
    for less in (1, 2):
        ours(prompts_BL[:, : max(prompt_tokens - less, 1)], max(new_tokens - less, 1))
    compiled = compilations() - before
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    writers = {"ours": ours} if beside is None else {"ours": ours, "theirs": beside}
    if beside is not None:
        theirs_BN = beside(prompts_BL, new_tokens)
    for _ in range(repeats):
        for name, write in writers.items():
            began = time.perf_counter()
            write(prompts_BL, new_tokens)
            seconds[name].append(time.perf_counter() - began)
    taken = float(np.median(seconds["ours"]))
    device = jax.devices()[0]
    peak, flops = peak or peak_flops(device), step_flops(pretrained, prompts_BL, new_tokens)
    found: dict[str, Any] = {
        "batch_size": batch_size,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
        "compile_seconds": first - taken,
        "compilations": compiled,
        "step_seconds": taken / new_tokens,
        "tokens_per_second": batch_size * new_tokens / taken,
        "tokens_per_second_best": batch_size * new_tokens / min(seconds["ours"]),
        "model_flops_per_step": flops,
        "mfu": flops * new_tokens / taken / peak if peak else None,
        **peak_memory(device),
    }
    if beside is not None:
        slower = float(np.median(seconds["theirs"]))
        found["transformers"] = {
            "tokens_per_second": batch_size * new_tokens / slower,
            "tokens_per_second_best": batch_size * new_tokens / min(seconds["theirs"]),
            "same_tokens": float(np.mean(written_BN == theirs_BN)),
        }
        found["times_as_fast"] = slower / taken
        found["times_as_fast_best"] = min(seconds["theirs"]) / min(seconds["ours"])
    return found


def writer(pretrained: Pretrained) -> Writer:
    """Greedy text of `Pretrained.generate`, the new tokens alone."""

    def write(prompts_BL: np.ndarray, new_tokens: int) -> np.ndarray:
        return pretrained.generate(prompts_BL, max_new_tokens=new_tokens, **ENDLESS)[:, -new_tokens:]

    return write


def transformers_writer(pretrained: Pretrained) -> Writer:
    """Greedy text of the class of `transformers` with these weights, with its cache, on its default threads.

    Raises:
        UserError: PyTorch or transformers is not installed.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise UserError(
            f"--vs_transformers needs {error.name}, which is not installed: pip install 'plmjax[parity]'."
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        save_huggingface(pretrained, folder)
        model = getattr(transformers, pretrained.architecture).from_pretrained(folder).eval()
    for name in ENDLESS:
        setattr(model.generation_config, name, None)

    def write(prompts_BL: np.ndarray, new_tokens: int) -> np.ndarray:
        tokens = torch.tensor(prompts_BL)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=new_tokens,
                do_sample=False,
                num_beams=1,
                use_cache=True,
                pad_token_id=0,
            )
        return out.numpy()[:, -new_tokens:]

    return write


def step_flops(pretrained: Pretrained, prompts_BL: np.ndarray, new_tokens: int) -> float:
    """FLOPs of the matrix products of one new token for all rows; nothing is computed."""
    module = pretrained.module
    inputs = prepare_inputs(module, prompts_BL, None, max_new_tokens=new_tokens, key=None, sampling=GREEDY, start=0)
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), pretrained.params)
    opened = jax.eval_shape(lambda params: prefill(Bound(module, params), inputs.prompts, new_tokens, 1), params)
    token_B = jax.ShapeDtypeStruct((len(prompts_BL),), np.int32)

    def step(params: Any, token_B: Any, cache: Any) -> Any:
        return partial(decode_step, Bound(module, params))(token_B, token_B, cache)

    return forward_flops(step, params, token_B, opened.cache)


def whole_number(text: str) -> int:
    """One of --batch_sizes; UserError for what is none."""
    if not text.strip().isdigit() or not int(text):
        raise UserError(f"--batch_sizes holds {text!r}: give whole numbers from 1 on, parted by commas.")
    return int(text)
