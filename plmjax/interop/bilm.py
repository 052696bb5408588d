"""ELMo as the Allen Institute released it: options.json and an HDF5 file of weights, read and written.

The softmax is not in such files. h5py is needed: the extra `elmo`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.checkpoints.checkpointer import load_params
from plmjax.checkpoints.serialize import from_json
from plmjax.data.tokenizers.characters import spell_sentences
from plmjax.errors import UserError
from plmjax.interop.weight_map import flatten, nest
from plmjax.modules import Bound, build
from plmjax.modules.elmo import BothStates, ElmoConfig
from plmjax.modules.elmo_task import bilm_config

OPTIONS = "options.json"
CHARACTERS = 262  # as options.json counts them once a model is trained: with one for places without a word


class Bilm:
    """A biLM that turns sentences into vectors.

    Args:
        config: of the network; a softmax is left aside.
        params: nested dict of arrays.
    """

    def __init__(self, config: ElmoConfig, params: dict[str, Any]) -> None:
        self.config, self.params = config, params
        self._embed = jax.jit(Bound(build(config), params).embed)

    def embed(
        self, sentences: Sequence[Sequence[str]], memory: BothStates | None = None
    ) -> tuple[list[np.ndarray], BothStates]:
        """float32 [1 + num_layers, words, 2 * d_model] of each sentence, and the states after them.

        Layer 0 is the word's own vector, twice; marks of begin and end are read and left out.

        Args:
            sentences: words, split as the training text was.
            memory: the states after a batch of as many sentences, which the released code carries on; None: these
                sentences stand alone.

        Raises:
            UserError: there is no sentence.
        """
        if not sentences:
            raise UserError("There is no sentence to embed: give at least one.")
        characters = spell_sentences(sentences, self.config.characters)
        layers_KBLW, memory = self._embed(jnp.asarray(characters, jnp.int32), memory)
        layers = np.asarray(layers_KBLW)
        return [layers[:, row, 1 : len(words) + 1] for row, words in enumerate(sentences)], memory


def load_bilm(directory: str | Path) -> Bilm:
    """The biLM of a working folder of experiments.pretrain or a step of one, without its softmax; or that in a folder
    with one file *options.json and one *weights*.hdf5, as released.

    Raises:
        UserError: there is no good checkpoint, a file is missing or damaged, h5py is not installed, or what is there is
            of another network.
    """
    directory = Path(directory).expanduser()
    if directory.name.isdigit() or (directory / "checkpoints").is_dir():
        return _own(directory)
    weights = sorted(path for pattern in ("*weights*.hdf5", "*weights*.h5") for path in directory.glob(pattern))
    options = sorted(directory.glob("*options.json"))
    if len(weights) != 1 or len(options) != 1:
        raise UserError(
            f"{directory} has {len(options)} files *options.json and {len(weights)} files *weights*.hdf5: it must "
            "have one of each."
        )
    config = read_options(options[0])
    return Bilm(config, read_weights(config, weights[0]))


def is_released(directory: Path) -> bool:
    """Whether a folder looks like a released biLM's."""
    return any(directory.glob("*options.json")) and any(directory.glob("*weights*.hdf5"))


def _own(directory: Path) -> Bilm:
    params, manifest = load_params(directory)
    config = from_json(manifest["config"]["model"])
    if not isinstance(config, ElmoConfig):
        raise UserError(f"The checkpoint in {directory} holds a {type(config).__name__}, not an ELMo: use plmjax.load.")
    return Bilm(bilm_config(config), {name: params[name] for name in ("embeddings", "encoder")})


def save_bilm(bilm: Bilm, directory: str | Path) -> None:
    """Writes options.json and weights.hdf5, as the released code reads them; the softmax is left out."""
    directory = Path(directory).expanduser()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / OPTIONS).write_text(json.dumps(write_options(bilm.config), indent=1) + "\n")
    flat = {path: np.asarray(leaf) for path, leaf in flatten(bilm.params).items()}
    with _h5py().File(directory / "weights.hdf5", "w") as file:
        for path, name, layer in names(bilm.config):
            value = flat[path] if layer is None else flat[path][layer]
            file[name] = value[None] if "W_cnn" in name else value


def read_options(path: Path) -> ElmoConfig:
    """The config that options.json describes, without a softmax; UserError for another network's."""
    try:
        options = json.loads(path.read_text())
        lstm, cnn = options["lstm"], options["char_cnn"]
        config = ElmoConfig(
            num_layers=lstm.get("n_layers", 1),
            d_model=lstm["projection_dim"],
            d_cell=lstm["dim"],
            characters=cnn["max_characters_per_token"],
            character_width=cnn["embedding"]["dim"],
            filters=tuple((int(width), int(count)) for width, count in cnn["filters"]),
            num_highway=cnn.get("n_highway") or 0,
            activation=cnn["activation"],
            cell_clip=lstm.get("cell_clip") or 0.0,
            projection_clip=lstm.get("proj_clip") or 0.0,
            residual=bool(lstm["use_skip_connections"]),
            dropout=options.get("dropout", 0.0),
            heads=(),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not the options.json of an ELMo with characters ({error!r}).") from error
    if config.activation not in ("relu", "tanh"):
        raise UserError(f"{path} has activation {config.activation!r}: it must be 'relu' or 'tanh'.")
    return config


def write_options(config: ElmoConfig) -> dict[str, Any]:
    """The content of options.json."""
    return {
        "lstm": {
            "use_skip_connections": config.residual,
            "projection_dim": config.d_model,
            "cell_clip": config.cell_clip or None,
            "proj_clip": config.projection_clip or None,
            "dim": config.d_cell,
            "n_layers": config.num_layers,
        },
        "char_cnn": {
            "activation": config.activation,
            "filters": [list(pair) for pair in config.filters],
            "n_highway": config.num_highway,
            "embedding": {"dim": config.character_width},
            "n_characters": CHARACTERS,
            "max_characters_per_token": config.characters,
        },
        "dropout": config.dropout,
    }


def read_weights(config: ElmoConfig, path: Path) -> dict[str, Any]:
    """The parameters in an HDF5 file; UserError names the first array that is missing or does not fit."""
    shapes = flatten(jax.eval_shape(build(config).init, jax.random.key(0))["params"])
    found: dict[str, Any] = {}
    try:
        with _h5py().File(path, "r") as file:
            for native, name, layer in names(config):
                if name not in file:
                    raise UserError(f"{path} lacks the array {name!r}, which its options.json asks for.")
                value = np.asarray(file[name], np.float32)
                value = value[0] if "W_cnn" in name else value
                wanted = shapes[native].shape if layer is None else shapes[native].shape[1:]
                if value.shape != wanted:
                    raise UserError(
                        f"The array {name!r} in {path} is {list(value.shape)}, but its options.json asks for "
                        f"{list(wanted)}."
                    )
                found.setdefault(native, []).append(value)
    except OSError as error:
        raise UserError(f"{path} can't be read as an HDF5 file ({error}).") from error
    stacked = {native: np.stack(parts) if "/layers/" in native else parts[0] for native, parts in found.items()}
    return nest(stacked)


def names(config: ElmoConfig) -> list[tuple[str, str, int | None]]:
    """(plmjax's path, the array's name in the file, the layer that it is) of every array."""
    table: list[tuple[str, str, int | None]] = [("embeddings/characters", "char_embed", None)]
    for number in range(len(config.filters)):
        table.append((f"embeddings/filters_{number}/kernel", f"CNN/W_cnn_{number}", None))
        table.append((f"embeddings/filters_{number}/bias", f"CNN/b_cnn_{number}", None))
    for number in range(config.num_highway):
        native, hf = f"embeddings/highway_{number}", f"CNN_high_{number}"
        table += [
            (f"{native}/carry/kernel", f"{hf}/W_carry", None),
            (f"{native}/carry_bias", f"{hf}/b_carry", None),
            (f"{native}/transform/kernel", f"{hf}/W_transform", None),
            (f"{native}/transform/bias", f"{hf}/b_transform", None),
        ]
    if sum(count for _, count in config.filters) != config.d_model:
        table += [("embeddings/projection/kernel", "CNN_proj/W_proj", None)]
        table += [("embeddings/projection/bias", "CNN_proj/b_proj", None)]
    parts = {"kernel": "W_0", "bias": "B"} | ({"projection": "W_P_0"} if config.d_cell > config.d_model else {})
    for direction, way in enumerate(("forward", "backward")):
        for layer in range(config.num_layers):
            cell = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
            table += [(f"encoder/{way}/layers/{native}", f"{cell}/{hf}", layer) for native, hf in parts.items()]
    return table


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UserError("ELMo's weights are HDF5 files: pip install 'plmjax[elmo]' brings h5py.") from error
    return h5py
