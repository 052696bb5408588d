"""Losses: pure functions of (outputs, targets, weights), reduced to one mergeable Weighted(sum, weight)."""
