"""Side-by-side runs of hiermodels and other packages: see docs/benchmarks.md.

``python -m benchmarks.run`` measures, ``python -m benchmarks.report`` writes the page and the
picture. Importing this package does no work: the peers' environments hold little more than NumPy.
"""
