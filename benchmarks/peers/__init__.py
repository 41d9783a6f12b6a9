"""The other packages: each with its own environment (requirements.txt) and one script (fit.py)."""
