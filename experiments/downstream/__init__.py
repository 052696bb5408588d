"""Checkpoints compared by what they do on tasks: the grid of experiments.downstream_table and what comes of it."""
