"""Exact posteriors by quadrature: integral, marginals, draws, leave-one-out."""
