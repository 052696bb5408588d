"""Which control code a text comes from: p(c | x) ~ p(x | c) p(c) (CTRL, Keskar et al. 2019, Sec. 5).

Legend: N chunks, L length, S tokens that are scored, C codes.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.losses.likelihood import log_likelihood
from plmjax.modules import Bound
from plmjax.modules.network import Network


class Attribution(NamedTuple):
    """A control code's part in a text.

    Attributes:
        code: its name.
        probability: p(c | x), 1 over all codes.
        nats: -log p(x | c) a token of the text.
    """

    code: str
    probability: float
    nats: float


def attribute(
    network: Bound,
    tokenizer: Tokenizer,
    text: str,
    codes: Mapping[str, Sequence[int]],
    prior: Mapping[str, float],
    length: int,
) -> list[Attribution]:
    """The codes of a text, the likeliest first.

    A text longer than a window is cut as in training, and the code goes before each part.

    Args:
        network: a decoder that was trained with the codes.
        tokenizer: of the network.
        text: any text.
        codes: the tokens of each code.
        prior: p(c) of each code, any positive numbers.
        length: tokens of a window, as the network was trained.

    Raises:
        UserError: the text has no token.
    """
    tokens = tokenizer.encode(text)
    if not tokens:
        raise UserError(f"The text {text!r:.40} has no token, so no source can be told: give a longer one.")
    scores = {}
    for name, code in codes.items():
        chunks = _chunks(np.asarray(code, np.int32), np.asarray(tokens, np.int32), length)
        scores[name] = float(_scored(network.module, network.params, *chunks, size=tokenizer.vocabulary.size))
    log_prior = {name: np.log(prior[name] / sum(prior.values())) for name in codes}
    logits = np.array([scores[name] + log_prior[name] for name in codes])
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    found = [
        Attribution(name, float(share), -scores[name] / len(tokens)) for name, share in zip(codes, shares, strict=True)
    ]
    return sorted(found, key=lambda source: -source.probability)


def _chunks(code: np.ndarray, tokens: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows int32 [N, length + 1] of the code and a part of the text, and bool [N, length], which are scored.

    The last token of a part is read again as the first of the next, as in CodedChunks; each is scored once.
    """
    step = length - len(code)
    rows, scored = [], []
    for start in range(0, max(len(tokens) - 1, 1), step):
        part = tokens[start : start + step + 1]
        row = np.concatenate([code, part])
        rows.append(np.pad(row, (0, length + 1 - len(row))))
        positions = np.arange(1, length + 1)
        first = len(code) if start == 0 else len(code) + 1
        scored.append((positions >= first) & (positions < len(row)))
    return np.stack(rows), np.stack(scored)


@partial(jax.jit, static_argnames=("module", "size"))
def _scored(module: Network, params: Any, tokens_NL: jax.Array, scored_NL: jax.Array, *, size: int) -> jax.Array:
    """The sum of the scored tokens' log-probabilities; padding comes after them, where nothing reads it."""
    network = Bound(module, params)
    head = network.token_head(network.decode(tokens_NL[:, :-1]))
    h_SE = head.h.reshape(-1, head.h.shape[-1])
    found = log_likelihood(h_SE, head.table, head.bias, tokens_NL[:, 1:].reshape(-1), size=size)
    return jnp.sum(jnp.where(scored_NL.reshape(-1), found.log_p, 0.0))
