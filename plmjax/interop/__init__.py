"""Checkpoints of Hugging Face `transformers`, both ways, and plmjax's own behind the same `Pretrained`; ELMo's `Bilm`.

Neither PyTorch nor transformers is needed.
"""

from plmjax.interop.bilm import Bilm, load_bilm, save_bilm
from plmjax.interop.huggingface import load_huggingface, save_huggingface
from plmjax.interop.native import load, save
from plmjax.interop.pretrained import Pretrained

__all__ = ["Bilm", "Pretrained", "load", "load_bilm", "load_huggingface", "save", "save_bilm", "save_huggingface"]
