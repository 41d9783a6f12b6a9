"""Response distributions: what a family is, and each of them."""
