"""PyMC's models by nutpie."""
