"""The heads of fine-tuning of encoder-decoders: which parameters they make, and what they read."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plmjax.modules import FAMILIES, Bound, build
from tests.modules.networks import paths

ALL = ("token", "sequence_classification", "token_classification", "question_answering")


@pytest.mark.parametrize("family", ["bart", "mbart", "marian", "t5"])
def test_a_head_has_parameters_only_where_it_is_asked_for(family: str) -> None:
    config = replace(FAMILIES[family].variants["tiny"], vocab_size=40, num_labels=3)

    def heads_of(*heads: str) -> dict[str, tuple[int, ...]]:
        module = build(replace(config, heads=heads))
        shapes = jax.eval_shape(module.init, jax.random.key(0))["params"]
        return {path: leaf.shape for path, leaf in paths(shapes).items() if "_head/" in path}

    assert heads_of() == {}
    found = heads_of(*ALL)
    width = config.d_model
    assert found["class_head/dense/kernel"] == (width, width) and found["class_head/out/kernel"] == (width, 3)
    assert found["tag_head/kernel"] == (width, 3) and found["answer_head/kernel"] == (width, 2)
    assert ("token_head/bias" in found) == (family != "t5")
    with pytest.raises(ValueError, match="head 'span' is not known"):
        heads_of("span")


def test_the_class_is_read_at_the_last_token() -> None:
    module = build(replace(FAMILIES["bart"].variants["tiny"], vocab_size=40, heads=("sequence_classification",)))
    shapes = jax.eval_shape(module.init, jax.random.key(0))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.3, leaf.shape), jnp.float32), shapes)
    network = Bound(module, params)
    x_BLD = jnp.asarray(rng.normal(size=(2, 5, module.config.d_model)), jnp.float32)
    gradient = jax.grad(lambda x: network.class_logits(x, jnp.array([4, 2])).sum())(x_BLD)
    assert (np.abs(gradient).sum(-1) > 0).tolist() == [[False] * 4 + [True], [False, False, True, False, False]]
    with pytest.raises(ValueError, match="without the head 'token'"):
        network.token_logits(x_BLD)


def test_a_decoder_alone_has_its_one_head() -> None:
    config = replace(FAMILIES["bart_decoder"].variants["tiny"], vocab_size=40, heads=("sequence_classification",))
    with pytest.raises(ValueError, match="a decoder alone has the head 'token'"):
        jax.eval_shape(build(config).init, jax.random.key(0))
