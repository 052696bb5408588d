"""plmjax: classic pre-trained language models in JAX, from text files to a compared, exported checkpoint."""

__version__ = "0.1.0"
