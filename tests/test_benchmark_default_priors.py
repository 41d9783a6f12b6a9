"""The frequencies of coverage under default priors: their posterior, and the page."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import default_priors


@pytest.mark.parametrize("name", default_priors.DESIGNS)
def test_the_posterior_on_a_grid_is_the_exact_one(name):
    se = np.array(default_priors.DESIGNS[name], dtype=float)
    y = np.random.default_rng(3).normal(0, np.hypot(se, 1.0))
    model = default_priors.model(y, se)
    ours = default_priors.posterior(y, se, model.priors["mu"], model.priors["tau"], 1.0)
    default_priors.agree(model, ours, 1.0)
    with pytest.raises(AssertionError):
        default_priors.agree(model, (ours[0] + 0.02, *ours[1:]), 1.0)


def test_a_scale_of_all_studies_alike_is_set_by_a_silent_one():
    """What the default is compared with: 0.129 for these three, 500 with one of se 1000."""
    y, se = np.array([0.1, 0.3, 0.2]), np.full(3, 0.1)
    assert default_priors.all_alike(y, se) == pytest.approx(0.1291, abs=1e-4)
    assert default_priors.all_alike(np.append(y, 0.2), np.append(se, 1000)) == pytest.approx(500)


def test_the_page_has_a_line_for_each_design_and_tau():
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in default_priors.PAGE.read_text().splitlines()
        if line.startswith("| ") and not line.startswith(("| standard", "| ---"))
    ]
    found = [(line[0], float(line[1])) for line in lines]
    assert found == [(name, tau) for name in default_priors.DESIGNS for tau in default_priors.TAUS]
    # What the text says of designs with eight informative studies or more.
    many = ("eight schools, in units of 12", "8 of se 1, and 8 of 1,000")
    for line in lines:
        if line[0] in many:
            held = [float(cell) for cell in (line[2], line[3]) if cell]
            assert min(held) >= 0.86
