"""The seam to ArviZ: containers, NetCDF files, Pareto smoothing, rows read back."""
