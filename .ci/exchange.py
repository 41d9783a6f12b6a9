"""Files of fits, written under one ArviZ and read under another: all that is in them comes back.

``exchange.py write FOLDER NAME`` fits the three families, saves them with ArviZ's own method and
notes what is in them; ``exchange.py read FOLDER NAME`` reads what everyone wrote, with
``hiermodels.load`` and with ArviZ's own reader, and compares.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import hiermodels as hm
from hiermodels.container import inference_data as idatas


def models() -> dict[str, Any]:
    """A model of each family, small, with labels that are text, numbers and dates' years."""
    rows = hm.datasets.mathscore().head(200).assign(x=lambda f: f.index % 7 - 3.0)
    return {
        "eight_schools": hm.EightSchools(
            hm.datasets.eight_schools(), effect="effect", se="se", group="school"
        ),
        "one_way": hm.OneWay(rows, y="mathscore", group="school"),
        "varying_slopes": hm.VaryingSlopes(rows, y="mathscore", group="school", varying=["x"]),
    }


def content(idata: Any) -> dict[str, Any]:
    """All that a container holds, and what this package says of it."""
    found: dict[str, Any] = {"attributes": idatas.attributes(idata)}
    for group in idatas.groups(idata):
        ds = idatas.dataset(idata, group)
        found[group] = {
            str(name): [
                list(v.dims),
                v.dtype.kind,
                hashlib.sha256(np.ascontiguousarray(v.values).tobytes()).hexdigest(),
            ]
            for name, v in ds.variables.items()
            if v.dtype.kind not in "OTU"  # text is compared as text
        }
        found[f"labels of {group}"] = {
            str(name): [str(x) for x in v.values]
            for name, v in ds.coords.items()
            if v.dtype.kind in "OTU"
        }
    table = hm.summary(idata)
    found["summary"] = {str(k): [f"{x:.6g}" for x in row] for k, row in table.T.items()}
    found["elpd"] = f"{hm.loo(idata, 'group').elpd:.6g}"
    return found


def write(folder: Path, name: str) -> None:
    """Fit, save, and note what is in the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for family, model in models().items():
        idata = model.fit(seed=1, chains=2, draws=200, warmup=200, progress=False)
        idata.to_netcdf(str(folder / f"{name}.{family}.nc"))
        (folder / f"{name}.{family}.json").write_text(json.dumps(content(idata)))


def read(folder: Path, name: str) -> None:
    """Read everyone's, and compare."""
    notes = sorted(folder.glob("*.json"))
    if not notes:
        sys.exit(f"error: there are no files in {folder}")
    for note in notes:
        file = note.with_suffix(".nc")
        noted, idata = json.loads(note.read_text()), hm.load(file)
        found = json.loads(json.dumps(content(idata)))
        wrong = [key for key in noted | found if noted.get(key) != found.get(key)]
        theirs = idatas.arviz().from_netcdf(str(file))
        draws = np.asarray(idatas.dataset(theirs, "posterior")["mu"])
        if not np.array_equal(draws, idatas.dataset(idata, "posterior")["mu"]):
            wrong.append("mu, by ArviZ's own reader")
        with tempfile.TemporaryDirectory() as pages:
            hm.report(idata, Path(pages) / "report.html")
        if wrong:
            key = wrong[0]
            sys.exit(
                f"error: {name} reads {file.name} with another content: {', '.join(wrong)}\n"
                f"written: {noted.get(key)}\nread: {found.get(key)}"
            )
    print(f"{name} (ArviZ {idatas.arviz_version()}) reads all {len(notes)} files")


if __name__ == "__main__":
    command, place, who = sys.argv[1:]
    {"write": write, "read": read}[command](Path(place), who)
