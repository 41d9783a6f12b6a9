"""NumPyro."""
