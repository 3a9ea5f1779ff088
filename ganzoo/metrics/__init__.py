"""Scores of samples against data, computed from features or logits: they know torch and numpy, no Lightning and no game."""
