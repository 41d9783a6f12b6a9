"""What the runner and a contender's script say to each other, in files.

The runner writes ``job.json``; the script reads it and the data, fits as often as it is asked to,
and after each fit leaves the draws (``<fit>.npz``) and the seconds (``record.json``). So what was
finished is kept, however the process ends. Standard library at import: the clock of a script's own
imports has not begun yet.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Job"]


class Job:
    """One process's work: a case, a contender's settings, and where the answers go.

    Parameters
    ----------
    path : Path
        The file ``job.json``. Its keys become attributes: ``case``, ``family``, ``data`` (path),
        ``priors`` (a list each: family and numbers), ``chains``, ``draws``, ``cores``, ``seed``,
        ``variant`` (dict), ``keep_groups`` (positions of the groups whose effects are kept),
        ``fits`` (labels, in order), ``again_below`` (seconds), ``show_progress``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.parent
        self.settings: dict[str, Any] = json.loads(path.read_text())
        self.record: dict[str, Any] = {"seconds": {}, "fits": {}}
        self._last_progress = 0.0

    @classmethod
    def open(cls) -> Job:
        """The job that the command line names."""
        return cls(Path(sys.argv[1]))

    def __getattr__(self, name: str) -> Any:
        try:
            return self.settings[name]
        except KeyError:
            raise AttributeError(f"a job has no {name!r}") from None

    def load(self) -> dict[str, Any]:
        """The data as arrays: ``y``, ``jj`` (from 0), and ``se`` or ``x``."""
        import numpy as np

        with np.load(self.data) as file:
            return {name: file[name] for name in file.files}

    @contextlib.contextmanager
    def timing(self, label: str) -> Iterator[None]:
        """Take the seconds of a block, under a label of the record."""
        began = time.perf_counter()
        yield
        self.record["seconds"][label] = time.perf_counter() - began
        if label == self.fits[0]:
            # The runner knows on this clock when the process began.
            self.record["container_at"] = time.time()

    def labels(self) -> Iterator[str]:
        """The fits to make; a second one only where the first was quick."""
        for number, label in enumerate(self.fits):
            if number and self.record["seconds"].get(self.fits[0], 0.0) > self.again_below:
                return
            yield label

    def keep(
        self,
        label: str,
        draws: dict[str, Any] | None = None,
        *,
        sampling: float | None = None,
        **more: Any,
    ) -> None:
        """Write down a fit that was just timed under ``label``.

        Parameters
        ----------
        label : str
            The fit.
        draws : dict of arrays, optional
            Hyperparameters, each of shape (chain, draw), and ``theta`` of shape
            (chain, draw, group, coefficient) for the groups of ``keep_groups``.
        sampling : float, optional
            Seconds of sampling alone, compiled and warm, as far as the package can tell.
        more
            Further figures, as JSON takes them.
        """
        if draws is not None:
            import numpy as np

            np.savez(self.folder / f"{label}.npz", **draws)
        self.record["fits"][label] = {"sampling": sampling, **more}
        self.save()

    def save(self) -> None:
        """Write the record, whole or not at all."""
        new = self.folder / "record.new"
        new.write_text(json.dumps(self.record, indent=1))
        new.replace(self.folder / "record.json")

    def progress(self, done: int, total: int) -> None:
        """Say how many iterations are done, over all chains; at most once a second."""
        now = time.monotonic()
        if now - self._last_progress > 1:
            self._last_progress = now
            text = json.dumps({"done": int(done), "total": int(total)})
            (self.folder / "progress.json").write_text(text)
