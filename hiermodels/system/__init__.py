"""Processes, signals, permissions, hashes, blocks of work."""
