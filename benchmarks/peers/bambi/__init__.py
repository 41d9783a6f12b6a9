"""Bambi."""
