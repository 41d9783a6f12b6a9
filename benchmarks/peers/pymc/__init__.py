"""PyMC by its own NUTS."""
