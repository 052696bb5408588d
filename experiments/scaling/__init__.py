"""Scaling laws: what `experiments.scaling_laws` is made of."""
