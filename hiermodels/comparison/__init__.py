"""The same data under other pooling or priors: estimates by group, pooling factors, refits."""
