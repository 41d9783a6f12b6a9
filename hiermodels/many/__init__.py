"""One model over many data sets, on any executor."""
