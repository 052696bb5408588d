"""Noise: pure functions of (key, tokens, ...) for one example, with static shapes, to be vmapped over a batch."""
