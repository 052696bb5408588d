"""plmjax: classic pre-trained language models in JAX, from text files to a compared, exported checkpoint."""

from typing import Any

from plmjax.version import __version__ as __version__

# Loaded at first use: `import plmjax` alone starts neither JAX nor the tokenizers.
_LAZY = {"load", "load_bilm", "load_huggingface", "save_bilm", "save_huggingface", "Bilm", "Pretrained"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'plmjax' has no attribute {name!r}")
    from plmjax import interop

    return getattr(interop, name)
