"""Gibbs sampling, one full conditional at a time."""
