import dataclasses
import subprocess
import sys

import jax
import numpy as np
import pytest

from plmjax.errors import UserError
from plmjax.modules import FAMILIES, Bound, build, family_of
from tests.modules.networks import TINY, config, network, states, tokens


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_a_config_a_module_and_variants(family):
    entry = FAMILIES[family]
    for variant in entry.variants.values():
        assert type(variant) is entry.config and family_of(variant) == family
        assert hash(variant) == hash(dataclasses.replace(variant))
        changed = dataclasses.replace(variant)
        changed.num_layers += 1  # as a flag on the command line does
        assert changed != variant
    kind = build(dataclasses.replace(variant, vocab_size=50)).kind  # XLM's is its config's
    assert kind in ("encoder", "decoder", "encoder_decoder", "two_stream", "bidirectional")


def test_build_names_what_is_wrong():
    with pytest.raises(UserError, match="the bert config's vocab_size is 0"):
        build(FAMILIES["bert"].variants["tiny"])
    with pytest.raises(UserError, match="dict is no network's config; use one of albert, bart, .*bert, .*, t5, "):
        build({})
    with pytest.raises(ValueError, match="norm 'sandwich' is not known"):
        jax.eval_shape(build(config("gpt2", norm="sandwich")).init, jax.random.key(0))


def test_bound_calls_any_public_method_and_nothing_else():
    net = network("gpt2")
    bound = Bound(net.module, net.params)
    assert bound.kind == "decoder" and bound.config is net.module.config
    tokens_BL = tokens(2, 5)
    direct = jax.jit(lambda: net.module.apply({"params": net.params}, tokens_BL, method="decode"))()
    np.testing.assert_array_equal(jax.jit(lambda: bound.decode(tokens_BL))(), direct)
    for name in ("encode", "_require", "config_"):
        with pytest.raises(AttributeError, match=f"GPT has no method '{name}'"):
            getattr(bound, name)


def test_bert_has_the_heads_that_it_was_asked_for():
    whole, bare = network("bert"), network("bert", heads=())
    x_BLD = jax.jit(lambda: states(whole.bound(), tokens(3, 4)))()
    assert whole.bound().pool(x_BLD).shape == (3, 32)
    assert whole.bound().next_sentence_logits(x_BLD).shape == (3, 2)
    assert set(bare.params) == {"embeddings", "encoder"}
    for name, head in (("token_logits", "token"), ("pool", "pool"), ("next_sentence_logits", "next_sentence")):
        with pytest.raises(ValueError, match=f"built without the head '{head}'"):
            getattr(bare.bound(), name)(x_BLD)


def test_token_types_count_where_there_are_some():
    tokens_BL = tokens(1, 4)
    types_BL = np.array([[0, 0, 1, 1]])
    for name, differs in (("bert", True), ("roberta", False)):
        net = network(name)
        run = jax.jit(lambda types, net=net: net.bound().encode(tokens_BL, types))
        assert (not np.allclose(run(types_BL), run(0 * types_BL))) == differs
        np.testing.assert_allclose(
            run(0 * types_BL), jax.jit(lambda net=net: net.bound().encode(tokens_BL))(), atol=1e-6
        )


def test_a_token_of_another_vocabulary_shows_as_nan():
    net = network("gpt2")
    assert np.isnan(jax.jit(lambda: net.bound().decode(np.array([[3, 50, 4]])))()[0, 1:]).all()


@pytest.mark.parametrize("name", TINY)
def test_init_needs_no_input(name):
    params = jax.eval_shape(build(config(name)).init, jax.random.key(0))
    assert set(params) == {"params"} and all(type(x) is dict for x in params["params"].values())


def test_importing_the_package_brings_neither_jax_nor_a_network():
    code = (
        "import sys, plmjax; assert not {'jax', 'flax', 'torch', 'tensorflow'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
