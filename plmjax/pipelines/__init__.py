"""A checkpoint on plain strings: `Model.classify`, `tag`, `answer`, `choose`, `fill_mask` and `generate`.

The first four use fine-tuning's backbones and task models, so that a network reads a text as it was trained to.
"""

from plmjax.pipelines.model import Model, load, load_huggingface
from plmjax.pipelines.predict import AnswerPrediction, ChoicePrediction, Entity, LabelPrediction, TagPrediction

__all__ = [
    "AnswerPrediction", "ChoicePrediction", "Entity", "LabelPrediction", "Model", "TagPrediction", "load",
    "load_huggingface",
]  # fmt: skip
