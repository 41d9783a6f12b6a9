"""A coverage-guided run over the reading of files, priors and command lines (``make fuzz``).

``python -m tests.fuzz --seconds 600`` runs Atheris (libFuzzer for Python) on each target in a
process of its own and fails on what is found: an exception that is not one of this package, a
message of several lines, a warning that is not ours, a traceback, or an input that takes more than
a minute. Inputs that reach new code are kept in ``build/fuzz/<target>``, and the next run begins
with them; finds lie in ``build/fuzz/finds``. What was found is a case of :mod:`tests.bad_input`.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import importlib.util
import io
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "fuzz"


# ---- what must hold ------------------------------------------------------------------------------


def one_line(error: BaseException) -> None:
    """A message of ours: one line, and not a long one."""
    from hiermodels.cli import main as cli

    assert str(error)
    assert "\n" not in str(error), "a message of several lines"
    assert len(cli.one_line(error)) < 2000, "a message without end"


@contextlib.contextmanager
def strictly() -> Iterator[None]:
    """Warnings of others are errors, those of this package are as they should be."""
    from hiermodels import errors

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", errors.HierModelsWarning)
        yield


def csv_target(data: bytes) -> None:
    """Bytes as a .csv, .tsv or .csv.gz file, read into memory, and a model of it."""
    import hiermodels as hm
    from hiermodels import errors
    from hiermodels.data import files

    ending, content = data[:1], data[1:]
    name = {b"\t": "data.tsv", b"z": "data.csv.gz"}.get(ending, "data.csv")
    file = Path(name)
    file.write_bytes(gzip.compress(content, 1) if ending == b"z" else content)
    try:
        with strictly():
            frame = files.read(file, labels=["g"], others=files.columns(file))
            names = [*(n for n in map(str, frame.columns) if len(n) < 100), "g", "x", "y"]
            hm.OneWay(file, y=names[max(0, len(names) - 4)], group=names[0], missing="drop")
            hm.VaryingSlopes(frame, y="y", group="g", varying=["x"], missing="drop")
    except errors.HierModelsError as error:
        one_line(error)


def scan_target(data: bytes) -> None:
    """Bytes as CSV or Parquet files that stay on the disk: DuckDB's reader, and the sums there."""
    import hiermodels as hm
    from hiermodels import errors
    from hiermodels.data import files

    content = data[1:]
    folder = Path("parts")
    folder.mkdir()
    ending = "parquet" if data[:1] == b"P" else "csv"
    for name, part in zip("ab", content.split(b"\0\0\0\0", 1), strict=False):
        (folder / f"{name}.{ending}").write_bytes(part)
    try:
        with strictly():
            names = [*(n for n in files.columns(folder) if len(n) < 100), "g", "y"]
            hm.OneWay(folder, y=names[1], group=names[0], missing="drop")
    except errors.HierModelsError as error:
        one_line(error)


def prior_target(data: bytes) -> None:
    """A text for each line as what ``--prior`` is given, and a model with these priors."""
    import numpy as np

    import hiermodels as hm
    from hiermodels import errors
    from hiermodels.cli import fit as cli_fit

    texts = data.decode(errors="surrogateescape").split("\n")
    try:
        with strictly():
            priors = cli_fit.read_priors(texts)
            for prior in priors.values():
                if isinstance(prior, hm.priors.Prior) and type(prior).__name__ != "LKJ":
                    assert not np.isnan(prior.log_density(np.array([1e-3, 1.0, 1e3]))).any()
                    repr(prior)
            model = hm.VaryingSlopes(rows(), y="y", group="g", varying=["x"], priors=priors)
            repr(model)
    except errors.HierModelsError as error:
        one_line(error)


def words_target(data: bytes) -> None:
    """A word for each line as a command line: a code, one line of error, and no traceback."""
    from hiermodels.cli import main as cli

    words = data.decode(errors="surrogateescape").split("\n")
    if any(map(elsewhere, words)):
        return
    rows().to_csv("data.csv", index=False)
    out, err = io.StringIO(), io.StringIO()
    with strictly(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(words)
    said = err.getvalue()
    assert code in (0, 1, 2), f"code {code}"
    assert "Traceback" not in said + out.getvalue(), said
    lines = said.splitlines()
    told = [line for line in lines if not line.startswith("warning: ")]
    assert len(told) <= 1, said
    assert code != 2 or told or out.getvalue(), "nothing said"
    assert not told or told[0].startswith("error: "), said


def elsewhere(word: str) -> bool:
    """Words that leave the folder, work for minutes by themselves, or ask for that many draws."""
    if "/" in word or word.startswith("~"):
        return True
    if word in {"demo", "compile", "install-cmdstan", "doctor"}:
        return True
    try:
        return not abs(float(word.rpartition("=")[2])) < 100
    except ValueError:
        return False


def rows() -> Any:
    from tests.bad_input import case

    return case.rows()


def is_prior(value: Any) -> bool:
    from hiermodels.priors.distributions import Prior

    return isinstance(value, Prior)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "csv": csv_target,
    "scan": scan_target,
    "priors": prior_target,
    "words": words_target,
}


# ---- what a run begins with ----------------------------------------------------------------------


def seeds(target: str) -> list[bytes]:
    """The cases of the table, as bytes of a target."""
    from tests.bad_input import case, command_line, files, priors

    if target in ("csv", "scan"):
        found = []
        with tempfile.TemporaryDirectory() as name:
            for number, one in enumerate(files.CASES):
                folder = Path(name, str(number))
                folder.mkdir()
                if one.slow or not callable(one.frame):
                    continue
                file = one.given(folder)
                if file.is_file() and file.stat().st_size < 10_000:
                    first = b"P" if file.suffix == ".parquet" else b"c"
                    content = file.read_bytes()
                    found.append((b"\t" if file.suffix == ".tsv" else first) + content)
        short = b"\n".join(files.CSV.encode().splitlines()[:6])
        return [*found, b"c" + short, b"c" + short + b"\0\0\0\0" + short, b"z" + short]
    lines = [
        [w.replace("FILE", "data.csv").replace("OUT/", "") for w in one.words]
        for one in command_line.CASES
    ]
    if target == "priors":
        given = [one.options.get("priors") for one in priors.CASES]
        made = [p for p in given if isinstance(p, dict) and all(map(is_prior, p.values()))]
        texts = [text for one in made for text in case.priors_typed(one)]
        texts += [b for a, b in itertools.chain(*map(itertools.pairwise, lines)) if a == "--prior"]
        texts += ["tau=HalfCauchy(5)", "mu[x]=Normal(0, 1)\ntau=HalfT(3, 1)", "sigma=Uniform(0, 9)"]
        return [text.encode(errors="surrogateescape") for text in texts]
    few = ["--draws", "5", "--chains", "2", "--seed", "1"]
    lines += [[*line, *few] for line in lines if line[:1] == ["fit"]]
    lines += [
        [*command_line.FIT, *few, "-q", "-o", "fit.nc", option, value]
        for option, value in [
            ("--pooling", "none"), ("--missing", "drop"), ("--sigma", "group"),
            ("--effects", "summary"), ("--prior", "tau=HalfNormal(1)"), ("--engine", "gibbs"),
            ("--adapt-delta", "0.9"), ("--max-treedepth", "8"), ("--warmup", "5"),
        ]
    ]  # fmt: skip
    return ["\n".join(line).encode(errors="surrogateescape") for line in lines]


WORDS = {
    "csv": r'g,x,y|"|,|\n|\r\n|nan|1e400|true|NA|\xef\xbb\xbf|-0.0|0x1|inf|z|\t',
    "priors": "tau|mu[x]|Normal(0, 1)|HalfT(3, 1)|inf|nan|1e308|sd=|LKJ(2)|Flat()|Omega|sigma=",
    "words": "fit|one-way|--prior|--pooling|none|complete|--engine|exact|--group|--y|-o|fit.nc|"
    "summary|report|compare|cache|--var|tau=|eight-schools|varying-slopes|resume|--quiet|--",
}
"""Words of each target's language, from which libFuzzer takes some."""
WORDS["scan"] = WORDS["csv"]


# ---- the run -------------------------------------------------------------------------------------


def watched(target: Callable[[bytes], None], finds: Path) -> Callable[[bytes], None]:
    """The target in an empty folder; what it raises is written down, once for each place."""
    seen: set[str] = set()
    start = Path.cwd()

    def run(data: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            os.chdir(folder)
            try:
                target(data)
            except Exception as error:
                frames = traceback.extract_tb(error.__traceback__)
                inner = [f for f in frames if "hiermodels" in f.filename] or frames
                key = f"{type(error).__name__} at {inner[-1].filename}:{inner[-1].lineno}"
                if key not in seen:
                    seen.add(key)
                    finds.mkdir(parents=True, exist_ok=True)
                    place = finds / hashlib.sha256(key.encode()).hexdigest()[:12]
                    place.with_suffix(".input").write_bytes(data)
                    place.with_suffix(".txt").write_text(
                        f"{key}\n{data[:300]!r}\n{''.join(traceback.format_exception(error))}"
                    )
            finally:
                os.chdir(start)

    return run


def one_target(name: str, seconds: int) -> None:
    """Run one target in this process, which it ends."""
    import atheris

    for variable in ("HOME", "CMDSTAN", "HIERMODELS_CACHE"):  # nothing is found, or left
        os.environ[variable] = tempfile.mkdtemp(prefix="fuzz-")
    with atheris.instrument_imports(include=["hiermodels", "typer"]):
        import hiermodels
        import hiermodels.cli.main
        import hiermodels.many.fits  # noqa: F401
    corpus = KEPT / name
    first = KEPT / f"{name}-seeds"
    for folder in (corpus, first):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (first / f"{number:03d}").write_bytes(seed)
    dictionary = KEPT / f"{name}.dict"
    words = [
        word.encode().decode("unicode_escape").encode("latin-1") for word in WORDS[name].split("|")
    ]
    escaped = ["".join(f"\\x{b:02x}" for b in word) for word in words]
    dictionary.write_text("".join(f'"{word}"\n' for word in escaped))
    options = [
        f"-max_total_time={seconds}",
        "-timeout=60",
        "-report_slow_units=60",
        "-max_len=4096",
        "-rss_limit_mb=4096",
    ]
    options += [f"-dict={dictionary}", "-print_final_stats=1", f"-artifact_prefix={KEPT}/finds/"]
    finds = KEPT / "finds" / name
    atheris.Setup([sys.argv[0], *options, str(corpus), str(first)], watched(TARGETS[name], finds))
    atheris.Fuzz()


def all_targets(names: list[str], seconds: int) -> int:
    """Run the targets, a process each; what they say, and 1 where anything was found."""
    shutil.rmtree(KEPT / "finds", ignore_errors=True)
    (KEPT / "finds").mkdir(parents=True)
    failed = False
    for name in names:
        words = [sys.executable, "-m", "tests.fuzz", "--here", name]
        words += ["--seconds", str(seconds // len(names))]
        done = subprocess.run(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
        (KEPT / f"{name}.log").write_text(done.stderr)
        ran = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
        edges = re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)
        if done.returncode or not ran:
            failed = True
            print(f"{name}: ended with code {done.returncode}; see {KEPT / f'{name}.log'}")
            continue
        print(f"{name}: {ran[-1]} inputs, {edges[-1][0]} edges, {edges[-1][1]} features")
    for find in sorted((KEPT / "finds").rglob("*")):
        if find.is_file() and find.suffix != ".input":
            failed = True
            print(f"FOUND {find}: {find.read_text(errors='replace').partition(chr(10))[0]}")
    return int(failed)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this; repeatable")
    parser.add_argument("--here", choices=TARGETS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("error: a fuzzing run needs Atheris; pip install atheris", file=sys.stderr)
        return 2
    if given.here:
        one_target(given.here, given.seconds)
    return all_targets(given.target or list(TARGETS), given.seconds)


if __name__ == "__main__":
    sys.exit(main())
