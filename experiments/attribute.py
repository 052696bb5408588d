"""Which of its control codes a CTRL finds a text likeliest to have come from (Keskar et al. 2019, Sec. 5).

    python -m experiments.attribute --from=runs/ctrl_mini --text="My fellow citizens, I stand here today"
    python -m experiments.attribute --from=runs/ctrl_mini --input=texts.txt

Prints the codes of each text with p(code | text) and the nats a token under the code. The prior p(code) is the code's
share of the training text, or with --prior=uniform the same for all.
"""

from pathlib import Path

import jax
import numpy as np
from absl import flags

from experiments import _main
from experiments.prompts import read_texts
from plmjax.checkpoints.checkpointer import load_params
from plmjax.checkpoints.serialize import from_json
from plmjax.data.store.split import Split
from plmjax.decode.attribution import attribute
from plmjax.errors import UserError
from plmjax.modules import Bound, build
from plmjax.train.config import Config
from plmjax.train.data import open_store

FROM = flags.DEFINE_string("from", None, "Working folder of experiments.pretrain.", required=True)
TEXT = flags.DEFINE_multi_string("text", [], "A text; repeat the flag for several.")
INPUT = flags.DEFINE_string("input", None, "A UTF-8 file with one text a line, instead of --text.")
PRIOR = flags.DEFINE_enum("prior", "text", ["text", "uniform"], "p(code): its share of the training text, or uniform.")
TOP = flags.DEFINE_integer("top", 5, "How many codes to show.", lower_bound=1)


def main() -> None:
    workdir = Path(FROM.value).absolute()
    texts = read_texts(TEXT.value, Path(INPUT.value) if INPUT.value else None)
    params, manifest = load_params(workdir)
    config: Config = from_json(manifest["config"])
    store = open_store(config.data, workdir)
    split = store.split("train")
    if split.document_codes is None:
        raise UserError(f"The store of the run in {workdir} has no control codes: prepare one with --code_field.")
    network = Bound(build(config.model), jax.device_put(params))
    prior = shares(split) if PRIOR.value == "text" else dict.fromkeys(split.codes, 1.0)
    for text in texts:
        print(f"> {text}")
        sources = attribute(network, store.tokenizer, text, split.codes, prior, config.train.length)
        for source in sources[: TOP.value]:
            print(f"{source.probability:7.2%}  {source.nats:6.3f} nats a token  {source.code}")
        print(flush=True)


def shares(split: Split) -> dict[str, float]:
    """The tokens of each code's documents, and one more, so that no code is impossible."""
    tokens = np.diff(np.asarray(split.document_starts))
    counts = np.bincount(np.asarray(split.document_codes), weights=tokens, minlength=len(split.codes))
    return {code: float(count) + 1.0 for code, count in zip(split.codes, counts, strict=True)}


if __name__ == "__main__":
    _main.run(main)
