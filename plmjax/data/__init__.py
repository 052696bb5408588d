"""Text to windows, on the host: sources, tokenizers, the token store, windows over it and the loader.

Everything here is NumPy. JAX is imported through Grain alone, in `loader`, and no device is taken.
"""
