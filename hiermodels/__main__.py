"""The command line's entry, as ``python -m hiermodels`` and as ``hiermodels``.

It imports nothing of weight before it can say that it was interrupted.
"""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line, from its imports to its end.

    Returns
    -------
    int
        The exit code.
    """
    try:
        from .cli.main import main as run

        code = run()
        _end()
    except KeyboardInterrupt:  # while modules are imported, or between two of the command's steps
        _end()
        print("interrupted", file=sys.stderr)
        return 130
    return code


def _end() -> None:
    """Let Python end in peace: all is done and said. A second Ctrl-C ends it at once."""
    import signal

    def once(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, once)


if __name__ == "__main__":
    sys.exit(main())
