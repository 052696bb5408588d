"""Parameters and FLOPs of T5's architectures beside those of its Table 2 (Raffel et al. 2020, Sec. 3.2).

    python -m experiments.architectures --size=base --inputs=512 --targets=512

Nothing is computed: parameters are counted from their shapes, FLOPs from the traced program. They are those of the
matrix products of a forward pass on one example, a training step's being three times as many.
"""

from absl import flags

from experiments import _main
from experiments.benchmarks.architecture_costs import cost, table
from experiments.configs.t5_architectures import NETWORKS

SIZE = flags.DEFINE_enum("size", "base", ("mini", "base"), "Of the networks, see configs/t5_architectures.py.")
INPUTS = flags.DEFINE_integer("inputs", 512, "Tokens of an example's inputs.", lower_bound=1)
TARGETS = flags.DEFINE_integer("targets", 512, "Tokens of an example's targets.", lower_bound=1)
ROWS = flags.DEFINE_integer("vocab_size", 32_128, "Rows of the token table.", lower_bound=1)


def main() -> None:
    costs = {name: cost(make(SIZE.value), INPUTS.value, TARGETS.value, ROWS.value) for name, make in NETWORKS.items()}
    print(table(costs))
    print(
        f"\nP = {costs['decoder'].layers / 1e6:.1f}M, one stack of layers without the token table (+ "
        f"{costs['decoder'].table / 1e6:.1f}M); M = {costs['encoder_decoder'].layer_flops / 1e9:.1f} GFLOPs, the "
        f"encoder-decoder's layers on {INPUTS.value} inputs and {TARGETS.value} targets. Scoring the targets costs "
        f"{costs['decoder'].head_flops / 1e9:.1f} GFLOPs in each."
    )


if __name__ == "__main__":
    _main.run(main)
