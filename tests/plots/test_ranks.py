"""The picture of a calibration; its contents are tested with the result, in test_calibrated.py."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hiermodels import plots
from hiermodels.errors import OptionError
from hiermodels.validation.result import Calibration
from hiermodels.validation.tasks import Record
from tests.plots import look


def failing(n: int) -> Calibration:
    """Ranks that are all 0, of n quantities."""
    names = [f"theta[{j}]" for j in range(n)]
    about = {"quantities": names, "draws": 99, "model": "<Toy>", "engine": "nuts"}
    return Calibration.of_records(about, [Record(at, 0, [0] * n) for at in range(100)])


def test_it_is_the_picture_of_the_result_and_goes_where_it_is_told() -> None:
    _, ax = plt.subplots()
    found = failing(2)
    assert plots.calibration(found, ax=ax, quantities=["theta[1]"]) is ax
    assert plt.get_fignums() == [1]
    # Of ranks that are all 0, all are below rank 1.
    z, off = look.line(ax, "theta[1]").get_data()
    np.testing.assert_allclose(z, np.arange(101) / 100)
    np.testing.assert_allclose(off[1:-1], 1 - z[1:-1])
    np.testing.assert_array_equal(look.line(found.plot(), "theta[1]").get_ydata(), off)


def test_failing_quantities_are_told_apart_without_colours() -> None:
    ax = plots.calibration(failing(6))
    lines = [look.line(ax, f"theta[{j}]") for j in range(6)]
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 6


def test_what_is_no_calibration_is_refused() -> None:
    with pytest.raises(OptionError, match=r"of what hm.calibrate returns, got int"):
        plots.calibration(3)  # type: ignore[arg-type]
