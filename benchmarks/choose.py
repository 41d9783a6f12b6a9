"""Find each peer's best settings: ``python -m benchmarks.choose [--case exam]``.

Every variant of a contender is run once (centered and noncentered, and what else it offers for two
cores). The one with the most effective draws per second of a later fit, among those whose answers
are right, is written into results/choices.json, where :mod:`benchmarks.run` finds it. With
``--scale`` a large case can be tried on a part of its size; what was tried says so.
"""

from __future__ import annotations

import argparse
from typing import Any

from . import environments, records
from .cases import CASES
from .contenders import Contender
from .run import Bench, arguments, chosen_contenders

__all__ = ["main", "score"]


def score(run: dict[str, Any], seconds: str = "seconds") -> float:
    """Smallest bulk ESS of the hyperparameters per second; 0 where the answer cannot be used.

    Parameters
    ----------
    run : dict
        The record of one process.
    seconds : {"seconds", "sampling"}
        Of the call to the container, or of sampling alone (0 where that is not known).
    """
    if (
        run["ended"] != "finished"
        or run["wrong"]
        or run["fits"]["first"]["rhat"] > records.CONVERGED
    ):
        return 0.0
    first = run["fits"]["first"]
    fit = run["fits"].get("later", first)
    return float(first["ess_bulk"] / fit[seconds]) if fit.get(seconds) else 0.0


def tried(bench: Bench, contender: Contender) -> dict[str, Any]:
    """All variants of a contender, and the best."""
    found = []
    for variant in contender.variants:
        run = bench.one(contender, variant, 1)
        said = {
            "variant": variant,
            "ended": run["ended"],
            "ess_per_second": score(run),
            "ess_per_second_sampling": score(run, "sampling"),
        }
        if run["wrong"]:
            said["wrong"] = run["wrong"][:2]
        if "reached" in run:
            said["reached"] = run["reached"]
        print(f"{bench.case.name}: {contender.name}: {said}", flush=True)
        found.append(said)
    best = max(found, key=lambda one: one["ess_per_second"])
    # Where no variant came to anything, nothing was chosen.
    chosen = best["variant"] if best["ess_per_second"] else None
    return {"chosen": chosen, "groups": bench.groups, "tried": found}


def main() -> None:
    """Try the variants of all contenders that have several."""
    parser = argparse.ArgumentParser(prog="benchmarks.choose", description=__doc__)
    arguments(parser)
    options = parser.parse_args()
    contenders = chosen_contenders(options.contender or [])
    for contender in contenders:
        if contender.peer is not None:
            environments.environment(contender.peer)
    path = (options.results or records.FOLDER) / "choices.json"
    for name in options.case or [name for name, case in CASES.items() if case.peers]:
        bench = Bench(
            CASES[name],
            contenders,
            scale=options.scale,
            limit=options.limit,
            results=environments.workspace() / "choosing",
        )
        for contender in bench.contenders:
            if contender.name in ("hiermodels", "exact"):
                # What the answers are compared with.
                bench.one(contender, contender.variants[0], 1)
            elif len(contender.variants) > 1:
                choices = records.load(path)
                choices.setdefault(name, {})[contender.name] = tried(bench, contender)
                records.save(path, choices)


if __name__ == "__main__":
    main()
