"""Importance sampling from a mixture of t distributions about the mode."""
