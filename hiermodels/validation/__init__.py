"""Whether a fit is right: certificates beside the exact posterior, simulation-based calibration."""
