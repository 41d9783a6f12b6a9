"""Questions to one fit: probabilities, ranks, leave-one-out, prior sensitivity, checks by group."""
