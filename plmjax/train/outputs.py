"""Prints what an encoder-decoder generates for the corrupted examples of its own run.

Legend: B batch, T targets, V vocabulary rows.
"""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.checkpoints.checkpointer import load_params
from plmjax.checkpoints.serialize import from_json
from plmjax.data.store.store import Store
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.modules import Bound, build
from plmjax.modules.network import Network
from plmjax.objectives.sequences import encoder_segments, memory_segments
from plmjax.train.config import Config
from plmjax.train.data import open_store, validation_loader
from plmjax.train.evaluation import corrupted_as_in_validation
from plmjax.train.sharding import make_mesh


def dump_outputs(workdir: str | Path, count: int) -> str:
    """Inputs, targets and the network's own outputs for `count` validation examples of a run, as text.

    The examples lie evenly over the validation split, under the noise of validation. Outputs are the likeliest token at
    each step, without a search.

    Raises:
        UserError: there is no checkpoint, its network is no encoder-decoder, or its store is gone.
    """
    workdir = Path(workdir).absolute()
    params, manifest = load_params(workdir)
    config: Config = from_json(manifest["config"])
    if not isinstance(config, Config):
        raise UserError(
            f"The checkpoint in {workdir} is not from pre-training: give a working folder of experiments.pretrain."
        )
    module = build(config.model)
    if module.kind != "encoder_decoder":
        raise UserError(
            f"The run in {workdir} has a network of kind {module.kind!r}, which restores no examples: give a run of an "
            "encoder-decoder, or texts with --prompt."
        )
    store = open_store(config.data, workdir)
    batch = _examples(config, store, count)
    size = store.vocabulary.size
    written = np.asarray(jax.jit(partial(write, module, size=size))(params, batch))
    batch = jax.device_get(batch)
    blocks = [
        _describe({name: value[row] for name, value in batch.items()}, written[row], store) for row in range(count)
    ]
    return "\n\n".join(blocks)


def write(module: Network, params: Any, batch: dict[str, jax.Array], *, size: int) -> jax.Array:
    """int32 [B, T]: the likeliest token at each step, given those written before, for a corrupted batch.

    The decoder reads the first of `decoder_tokens` and then its own output, at the example's own positions; so this
    holds for any objective. Each step computes all T states anew: it is for a few examples, `decode` has a cache.
    """
    network = Bound(module, params)
    memory = network.encode(batch["tokens"], batch["positions"], encoder_segments(batch))
    segments_BT = jnp.broadcast_to(batch["segments"][:, :1], batch["decoder_tokens"].shape)

    shown_BL = memory_segments(batch)

    def step(place: jax.Array, written_BT: jax.Array) -> jax.Array:
        tokens_BT = jnp.concatenate([batch["decoder_tokens"][:, :1], written_BT[:, :-1]], axis=1)
        x_BTD = network.decode(tokens_BT, memory, shown_BL, batch.get("decoder_positions"), segments_BT)
        at_BD = jax.lax.dynamic_index_in_dim(x_BTD, place, axis=1, keepdims=False)
        likeliest_B = jnp.argmax(network.token_logits(at_BD)[..., :size], axis=-1).astype(jnp.int32)
        return written_BT.at[:, place].set(likeliest_B)

    return jax.lax.fori_loop(0, segments_BT.shape[1], step, jnp.zeros_like(batch["decoder_tokens"]))


def _examples(config: Config, store: Store, count: int) -> dict[str, jax.Array]:
    """`count` corrupted examples of the validation split, from its start to its end."""
    loader = validation_loader(config, store, make_mesh(config.mesh))
    rows = config.train.eval_batch_size
    found = []
    for number in range(count):
        at = number * loader.num_batches * rows // count
        batch = loader.batch(at // rows)
        found.append({name: value[at % rows] for name, value in batch.items()})
    raw = {name: np.stack([one[name] for one in found]) for name in found[0]}
    return jax.jit(partial(corrupted_as_in_validation, config.objective, store.vocabulary))(raw)


def _describe(example: dict[str, np.ndarray], written: np.ndarray, store: Store) -> str:
    targets = example["targets"][example["weights"] > 0].tolist()
    shown = {
        "input": example["tokens"][example["segments"] > 0].tolist(),
        "target": targets,
        "output": _ended(written.tolist(), targets, store.vocabulary),
    }
    return "\n".join(f"{name:>6}: {_text(store.tokenizer, tokens)}" for name, tokens in shown.items())


def _ended(written: list[int], targets: list[int], vocabulary: Vocabulary) -> list[int]:
    """The output up to the special token that closes the targets; as long as these where none does."""
    if not targets or not vocabulary.is_special[targets[-1]]:
        return written[: len(targets)]
    return written[: written.index(targets[-1]) + 1] if targets[-1] in written else written


def _text(tokenizer: Tokenizer, tokens: list[int]) -> str:
    return tokenizer.decode(tokens, skip_special=False)
