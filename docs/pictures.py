"""Draw the README's pictures again: ``make pictures``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

import hiermodels as hm

HERE = Path(__file__).parent


def main() -> None:
    """Write one file for each picture, beside this one."""
    schools = hm.EightSchools(
        hm.datasets.eight_schools(),
        effect="effect",
        se="se",
        group="school",
        priors={"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(5)},
    )
    hm.plots.save(
        hm.plots.shrinkage(schools.fit(engine="exact", seed=1)), HERE / "eight_schools.png"
    )
    hm.plots.save(hm.plots.forest(hm.compare_pooling(schools, seed=1)), HERE / "pooling.png")
    exam = hm.VaryingSlopes(hm.datasets.exam(), y="normexam", group="school", varying=["standLRT"])
    axes = hm.plots.group_lines(hm.compare_pooling(exam, seed=1), groups=["2", "48", "53", "59"])
    hm.plots.save(axes, HERE / "lines.png")
    plt.close("all")


if __name__ == "__main__":
    main()
