"""plmjax: classic pre-trained language models in JAX, from text files to a compared, exported checkpoint.

import plmjax
model = plmjax.load("runs/bert")              # a working folder, or a directory of Hugging Face transformers
model.fill_mask("Paris is the [MASK] of France.")
model.classify("A fine film.")                # of a fine-tuned checkpoint; so are tag, answer and choose
model.generate("The function returns", max_new_tokens=20)
plmjax.save_huggingface(model, "exported")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from plmjax.version import __version__

if TYPE_CHECKING:
    from plmjax.errors import UserError
    from plmjax.interop import Bilm, Pretrained, load_bilm, save, save_bilm, save_huggingface
    from plmjax.pipelines import Model, load, load_huggingface

__all__ = [
    "Bilm", "Model", "Pretrained", "UserError", "__version__", "load", "load_bilm", "load_huggingface", "save",
    "save_bilm", "save_huggingface",
]  # fmt: skip

# Imported at first use: `import plmjax` alone starts neither JAX nor the tokenizers.
_MODULE_OF = {
    "UserError": "plmjax.errors",
    **dict.fromkeys(("Model", "load", "load_huggingface"), "plmjax.pipelines"),
    **dict.fromkeys(("Bilm", "Pretrained", "load_bilm", "save", "save_bilm", "save_huggingface"), "plmjax.interop"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'plmjax' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
