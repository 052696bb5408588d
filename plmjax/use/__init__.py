"""A checkpoint on plain strings: what `Pretrained.classify`, `tag`, `answer`, `fill_mask` and `generate` do.

The first three read as fine-tuning does, by its readers and ways, so that a network does in use what it was taught.
"""

from plmjax.use.labels import Entity, Found, Labelling, Tagged, answer, classify, tag
from plmjax.use.writing import fill_mask, generate

__all__ = ["Entity", "Found", "Labelling", "Tagged", "answer", "classify", "fill_mask", "generate", "tag"]
