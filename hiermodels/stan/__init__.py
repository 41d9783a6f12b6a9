"""CmdStan, found or installed; programs, compiled, cached, shipped in a wheel."""
