"""Scripts that a user launches, their configs and the papers' ablations."""
