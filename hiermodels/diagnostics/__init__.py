"""R-hat, effective sample size, E-BFMI; findings, remedies and the verdict."""
