"""Text to windows, on the host: sources, tokenizers, the token store, windows over it and the loader."""
