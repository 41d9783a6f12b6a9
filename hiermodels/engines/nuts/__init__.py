"""NUTS, by CmdStan: chains, their processes, checkpoints."""
