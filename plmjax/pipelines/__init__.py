"""A checkpoint on plain strings: what `Pretrained.classify`, `tag`, `answer`, `choose`, `fill_mask` and `generate` do.

The first four read as fine-tuning does, by its backbones and task models, so that a network does in use what it was
taught.
"""

from plmjax.pipelines.generate import fill_mask, generate
from plmjax.pipelines.predict import Chosen, Entity, Found, Labelling, Tagged, answer, choose, classify, tag

__all__ = [
    "Chosen", "Entity", "Found", "Labelling", "Tagged", "answer", "choose", "classify", "fill_mask", "generate", "tag",
]  # fmt: skip
