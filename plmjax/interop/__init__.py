"""Checkpoints of Hugging Face `transformers`, both ways, and plmjax's own behind the same `Pretrained`.

Neither PyTorch nor transformers is needed.
"""

from plmjax.interop.huggingface import load_huggingface, save_huggingface
from plmjax.interop.own import load, save
from plmjax.interop.pretrained import Pretrained

__all__ = ["Pretrained", "load", "load_huggingface", "save", "save_huggingface"]
