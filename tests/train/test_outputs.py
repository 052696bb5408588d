"""What a run's own network writes for corrupted validation examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.modules import Bound, build
from plmjax.modules.bart import BartConfig
from plmjax.objectives import Mass
from plmjax.train.loop import pretrain
from plmjax.train.outputs import dump_outputs, write
from tests.train.kit import tiny_config

pytestmark = pytest.mark.slow

NETWORK = {"num_layers": 1, "num_decoder_layers": 1, "num_heads": 2, "d_model": 16, "d_ff": 32, "max_positions": 32}


@pytest.fixture(scope="module")
def run(tiny_store, tmp_path_factory):
    """A MASS of two steps."""
    folder = tmp_path_factory.mktemp("runs") / "mass"
    config = tiny_config(
        tiny_store, model=BartConfig(**NETWORK), objective=Mass(), train__length=24, train__steps=2, train__batch_size=8
    )
    pretrain(config, folder)
    return folder


def test_inputs_targets_and_outputs_are_shown(run):
    blocks = [block.splitlines() for block in dump_outputs(run, 3).split("\n\n")]
    assert len(blocks) == 3 and len({block[1] for block in blocks}) == 3  # different examples
    for block in blocks:
        assert [line.split(":")[0].strip() for line in block] == ["input", "target", "output"]
        assert "<mask>" in block[0] and "<pad>" not in block[0] + block[1]


def test_each_token_is_the_likeliest_after_those_written():
    """Fed its own output, shifted, at the positions of the example, the decoder says it again."""
    module = build(BartConfig(vocab_size=128, dropout=0.0, attention_dropout=0.0, init_std=0.5, **NETWORK))
    params = module.init(jax.random.key(0))["params"]
    rng = np.random.default_rng(0)
    batch = {
        "tokens": jnp.asarray(rng.integers(7, 100, (2, 9))),
        "positions": jnp.tile(jnp.arange(9), (2, 1)),
        "segments": jnp.asarray([[1] * 9, [1] * 7 + [0] * 2]),
        "decoder_tokens": jnp.asarray(rng.integers(7, 100, (2, 6))),
        "decoder_positions": jnp.asarray([[3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6]]),
    }
    written = write(module, params, batch, size=100)
    network = Bound(module, params)
    read = jnp.concatenate([batch["decoder_tokens"][:, :1], written[:, :-1]], axis=1)
    memory = network.encode(batch["tokens"], batch["positions"], batch["segments"])
    states = network.decode(read, memory, batch["segments"], batch["decoder_positions"])
    np.testing.assert_array_equal(jnp.argmax(network.token_logits(states)[..., :100], axis=-1), written)
    assert len(np.unique(written)) > 3


def test_other_networks_are_refused(tiny_store, tmp_path):
    pretrain(tiny_config(tiny_store, train__steps=2), tmp_path / "gpt2")
    with pytest.raises(UserError, match="network of kind 'decoder', which restores no examples"):
        dump_outputs(tmp_path / "gpt2", 1)
