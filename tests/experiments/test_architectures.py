"""What T5's architectures have and take, beside the paper's."""

import pytest

from experiments.benchmarks import architecture_costs
from experiments.configs import t5_architectures

INPUTS, TARGETS, ROWS = 512, 512, 32_128


@pytest.fixture(scope="module")
def costs():
    networks = t5_architectures.NETWORKS.items()
    return {name: architecture_costs.cost(make("base"), INPUTS, TARGETS, ROWS) for name, make in networks}


def test_flops_by_hand(costs):
    """2 a multiplication and addition: projections, both attentions over all pairs, and the feed-forward layer."""
    width, hidden, layers = 768, 3072, 12
    projections, feed_forward = 4 * width * width, 2 * width * hidden

    def self_attention(length):
        return length * (projections + feed_forward) + 2 * length * length * width

    across = TARGETS * 2 * width * width + INPUTS * 2 * width * width + 2 * TARGETS * INPUTS * width
    whole = 2 * layers * (self_attention(INPUTS) + self_attention(TARGETS) + across)
    row = 2 * layers * self_attention(INPUTS + TARGETS)
    assert costs["encoder_decoder"].layer_flops == costs["shared"].layer_flops == whole
    assert costs["half"].layer_flops == whole / 2
    assert costs["decoder"].layer_flops == costs["prefix_decoder"].layer_flops == row
    assert {one.head_flops for one in costs.values()} == {2 * TARGETS * width * ROWS}


def test_costs_and_sizes_are_those_of_table_2(costs):
    """FLOPs to a tenth. Of the parameters the paper leaves the cross-attention out: a third of a stack in 12 layers."""
    stack, flops = costs["decoder"].layers, costs["encoder_decoder"].layer_flops
    cross = 12 * (4 * 768 * 768 + 768)
    for name, one in costs.items():
        parameters, cost = architecture_costs.PAPER[name]
        own = {"encoder_decoder": cross, "shared": cross, "half": cross / 2}.get(name, 0)
        assert (one.layers - own) / stack == pytest.approx({"P": 1, "2P": 2}[parameters], abs=1e-4)
        assert one.layer_flops / flops == pytest.approx({"M": 1, "M/2": 0.5}[cost], rel=0.1)
        assert one.table == ROWS * 768


def test_the_table_has_a_row_for_each(costs):
    lines = architecture_costs.table(costs).splitlines()
    assert len(lines) == 2 + len(costs) and "| shared | 113.3M | 1.33 | 137.9M | 1.26 | P |" in lines[3]
