"""What only a command line can be given: words that are no options, priors that are code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .case import rows

FIT = ["fit", "one-way", "FILE", "--y", "y", "--group", "g", "--engine", "exact"]
OUT = ["-o", "OUT/fit.nc"]


@dataclass(frozen=True)
class Words:
    """A command line: ``FILE`` stands for the plain data, ``OUT`` for an empty folder."""

    what: str
    words: list[str]
    says: str = "..."
    code: int = 2
    file: Callable[[Path], Path] | None = None

    def typed(self, folder: Path) -> list[str]:
        """The words, with the files that they name."""
        data, out = folder / "data.csv", folder / "out"
        rows().to_csv(data, index=False)
        out.mkdir()
        return [w.replace("FILE", str(data)).replace("OUT", str(out)) for w in self.words]


def _prior(what, text, says="..."):
    return Words(f"a prior that {what}", [*FIT, *OUT, "--prior", text], says)


CASES = [
    Words("no such command", ["fitt"]),
    Words("no such family", ["fit", "two-way", "FILE"]),
    Words("no such option", [*FIT, "--colour", "red"]),
    Words("an option without its value", [*FIT, "--chains"]),
    Words("an option that is missing", ["fit", "one-way", "FILE", "--y", "y"]),
    Words("a file that is missing", ["fit", "one-way", "--y", "y", "--group", "g"]),
    Words("two files", ["fit", "one-way", "FILE", "FILE", "--y", "y", "--group", "g"]),
    Words("chains in letters", [*FIT, "--chains", "four"]),
    Words("chains with a fraction", [*FIT, "--chains", "1.5"]),
    Words("chains of 5000 digits", [*FIT, "--chains", "9" * 5000]),
    Words("draws of 1e9 in words", [*FIT, "--draws", "1e9"]),
    Words("an acceptance rate in letters", [*FIT, "--adapt-delta", "high"]),
    Words("a seed in hexadecimal", [*FIT, "--seed", "0xff"]),
    Words("a seed of -1", [*FIT, "--seed", "-1"]),
    Words("quiet, and nothing to keep", [*FIT, "--quiet"]),
    Words("output to a folder", [*FIT, "-o", "OUT"]),
    Words("output to no folder", [*FIT, "-o", "OUT/no/fit.nc"]),
    Words("output over the data", [*FIT, "-o", "FILE"]),
    Words("output of another kind", [*FIT, "-o", "OUT/fit.txt"]),
    _prior("is empty", ""),
    _prior("is a name alone", "tau"),
    _prior("has no numbers", "tau=HalfCauchy"),
    _prior("is not closed", "tau=HalfCauchy(5"),
    _prior("is Python", "tau=__import__('os').system('true')"),
    _prior("is a lambda", "tau=(lambda: 1)()"),
    _prior("is of no family", "tau=HalfCauch(5)"),
    _prior("is of no parameter", "teta=HalfCauchy(5)"),
    _prior("has too many numbers", "tau=HalfCauchy(5, 6)"),
    _prior("has too few numbers", "tau=HalfT()"),
    _prior("has a number twice", "tau=HalfCauchy(5, scale=6)"),
    _prior("has a number of no name", "tau=HalfCauchy(width=5)"),
    _prior("has letters for a number", "tau=HalfCauchy(wide)"),
    _prior("is NaN wide", "tau=HalfCauchy(nan)"),
    _prior("is infinitely wide", "tau=HalfCauchy(inf)"),
    _prior("is of a negative scale", "tau=HalfCauchy(-5)"),
    _prior("is 1e999 wide", "tau=HalfCauchy(1e999)"),
    _prior("has 100,000 brackets", "tau=HalfCauchy" + "(" * 100_000),
    Words("two priors of one parameter",
          [*FIT, *OUT, "--prior", "tau=HalfCauchy(5)", "--prior", "tau=HalfCauchy(6)"]),
    Words("a summary of no variable", ["summary", "FIT", "--var", "teta"]),
    Words("a report that is no page", ["report", "FIT", "-o", "OUT/report.pdf"]),
    Words("a report over its fit", ["report", "FIT", "-o", "FIT"]),
    Words("no such data set", ["datasets", "iris"]),
    Words("a data set into no folder", ["datasets", "eight_schools", "-o", "OUT/no/a.csv"]),
    Words("a data set of another kind", ["datasets", "eight_schools", "-o", "OUT/a.xlsx"]),
    Words("a place for all data sets", ["datasets", "-o", "OUT/a.csv"]),
    Words("no such program", ["compile", "one_way_sideways"]),
    Words("a program outside the cache", ["cache", "clear", "../../etc"]),
    Words("a CmdStan of no version", ["install-cmdstan", "--version", "newest"]),
    Words("a CmdStan of no source", ["install-cmdstan", "--source", "ftp"]),
    Words("no jobs", ["install-cmdstan", "--version", "2.36.0", "--jobs", "0"]),
]
