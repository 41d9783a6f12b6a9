"""The command line: one module per command, its tables, and what the shell is told."""
