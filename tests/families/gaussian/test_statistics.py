"""Sufficient statistics: exact sums, moved centres, merged parts, files."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hiermodels.errors import ColumnError, DataError, OptionError
from hiermodels.families.gaussian.aggregation import sufficient_statistics
from hiermodels.families.gaussian.statistics import ABOUT, SufficientStatistics
from tests.families.gaussian.far_groups import SPREADS, exact_within
from tests.families.gaussian.far_groups import rows as far_rows


def frame(n: int = 600, mean: float = 3.0, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    school = rng.integers(0, 12, n)
    return pd.DataFrame(
        {
            "school": school * 10,
            "score": mean + rng.normal(size=n) + school / 5,
            "ses": 2 * mean + rng.normal(size=n),
            "sex": rng.choice(["M", "F", "X"], n),
        }
    )


def of(data: Any, **options: Any) -> SufficientStatistics:
    return sufficient_statistics(
        data, **{"y": "score", "group": "school", "columns": ["ses", "sex"], **options}
    )


def alike(a: SufficientStatistics, b: SufficientStatistics, tolerance: float = 1e-10) -> None:
    """Two statistics are of the same rows, whatever the order of the groups and the centre."""
    assert a.columns == b.columns
    assert a.sources == b.sources
    assert a.levels == b.levels
    assert (a.response, a.group, a.dropped) == (b.response, b.group, b.dropped)
    orders = np.argsort(a.labels), np.argsort(b.labels)
    assert a.labels[orders[0]].tolist() == b.labels[orders[1]].tolist()
    np.testing.assert_array_equal(a.minimum, b.minimum)
    np.testing.assert_array_equal(a.maximum, b.maximum)
    G, H = a.products[orders[0]], b.recentred(a.centre).products[orders[1]]
    # A sum of positive and negative terms is as exact as the squares of its terms are large.
    size = np.sqrt(np.einsum("jaa->ja", G))
    error = np.abs(G - H) / np.maximum(size[:, :, None] * size[:, None, :], 1e-300)
    assert error.max() < tolerance


def exact_products(data: pd.DataFrame, names: list[str], centre: Any) -> dict[int, Any]:
    """Products by math.fsum, of differences that are exact (doubles near one another)."""
    found = {}
    for label, rows in data.groupby("school"):
        w = [
            np.ones(len(rows)),
            *(rows[n].to_numpy() - c for n, c in zip(names, centre, strict=True)),
        ]
        found[label] = np.array([[math.fsum(a * b) for b in w] for a in w])
    return found


def test_the_products_are_sums_over_the_rows_of_each_group() -> None:
    data = frame()
    statistics = of(data, columns=["ses"])
    assert statistics.columns == ("ses",)
    assert statistics.N == 600
    assert statistics.J == 12
    expected = exact_products(data, ["ses", "score"], statistics.centre)
    for label, products in zip(statistics.labels, statistics.products, strict=True):
        np.testing.assert_allclose(products, expected[label], rtol=1e-12, atol=1e-12)
    assert statistics.sizes.tolist() == [
        int((data["school"] == label).sum()) for label in statistics.labels
    ]
    np.testing.assert_allclose(statistics.means, [data["ses"].mean(), data["score"].mean()])


def test_a_mean_of_1e8_with_a_spread_of_1_loses_no_digits() -> None:
    data = frame(mean=1e8)
    statistics = of(data, columns=["ses"])
    for label, products in zip(statistics.labels, statistics.products, strict=True):
        rows = data[data["school"] == label]
        shifted = [[v - base for v in rows[n]] for n, base in (("ses", 2e8), ("score", 1e8))]
        n = len(rows)
        means = [math.fsum(v) / n for v in shifted]
        for a in (0, 1):
            for b in (0, 1):
                within = math.fsum(
                    (u - means[a]) * (v - means[b])
                    for u, v in zip(shifted[a], shifted[b], strict=True)
                )
                G = products[1:, 1:][a, b] - products[0, a + 1] * products[0, b + 1] / n
                assert abs(G - within) < 1e-10 * math.sqrt(
                    products[a + 1, a + 1] * products[b + 1, b + 1]
                )


def test_a_recentred_one_goes_there_and_back() -> None:
    statistics = of(frame())
    moved = statistics.recentred(statistics.centre + np.array([1.0, -2.0, 0.5, 3.0]))
    alike(statistics, moved)
    np.testing.assert_allclose(moved.means, statistics.means, rtol=1e-13)
    assert not np.allclose(moved.products, statistics.products)
    np.testing.assert_array_equal(moved.products, moved.products.transpose(0, 2, 1))


@pytest.mark.parametrize("mean", [3.0, 1e8])
def test_merged_parts_are_the_whole(mean: float) -> None:
    data = frame(mean=mean)
    parts = [of(part) for part in (data[:100], data[100:350], data[350:])]
    alike(of(data), parts[0].merge(parts[1]) + parts[2])
    alike(of(data), parts[2] + parts[0] + parts[1])


def test_merged_parts_may_have_groups_of_their_own_and_centres_far_apart() -> None:
    data = frame(mean=0.0)
    # Groups 0 and 10 have a mean of -1e5, the others of 1e5 and more.
    early = data["school"] <= 10
    data["score"] += np.where(early, -1e5, 1e5 * (1 + data["school"]))
    few, many = of(data[early]), of(data[~early])
    assert abs(few.centre[-1] - many.centre[-1]) > 1e5
    merged = few + many
    assert merged.labels.tolist() == [*few.labels.tolist(), *many.labels.tolist()]
    alike(of(data), merged)
    np.testing.assert_allclose(merged.centre, of(data).centre, rtol=1e-12)


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("seed", range(4))
def test_digits_outlive_merging_moving_choosing_and_saving(
    spread: float, seed: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    data = far_rows(spread, size=60).sample(frac=1, random_state=seed)
    parts = [
        of(data[k::13], y="y", group="g", columns=["x", "w"]) for k in rng.permutation(13).tolist()
    ]
    while len(parts) > 1:  # in pairs, in any order
        first = parts.pop(int(rng.integers(len(parts))))
        parts.append(first + parts.pop(int(rng.integers(len(parts)))))
    (found,) = parts
    found = found.recentred(found.centre + spread).select(["x"])
    found = SufficientStatistics.load(found.save(tmp_path / "s.npz"))
    found = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own
    assert found.sizes.tolist() == [60] * 6
    for label, exact in exact_within(data, ["x", "y"]).items():
        (place,) = np.flatnonzero(found.labels == label)
        np.testing.assert_allclose(
            found.within[place], exact, rtol=1e-6, atol=1e-6 * np.diag(exact).min()
        )


def test_a_file_of_the_first_format_is_read(tmp_path: Path) -> None:
    statistics = of(DATA)
    about = {name: getattr(statistics, name) for name in ABOUT}
    upper = np.triu_indices(len(statistics.columns) + 2)
    np.savez(
        tmp_path / "old.npz",
        about=np.array(json.dumps({"format": "hiermodels.sufficient_statistics.1", **about})),
        products=statistics.products[:, upper[0], upper[1]],
        **{n: getattr(statistics, n) for n in ("labels", "centre", "minimum", "maximum")},
    )
    alike(SufficientStatistics.load(tmp_path / "old.npz"), statistics, 1e-12)


def test_products_are_those_of_the_rows_less_the_centre() -> None:
    statistics = of(DATA, columns=["ses"])
    np.testing.assert_allclose(statistics.products[:, 0, 0], statistics.sizes)
    sums = statistics.sizes[:, None] * statistics.group_means
    np.testing.assert_allclose(statistics.products[:, 0, 1:], sums)
    squares = sums[:, :, None] * statistics.group_means[:, None, :]
    np.testing.assert_allclose(statistics.products[:, 1:, 1:], statistics.within + squares)


def test_merging_puts_columns_in_the_order_of_the_first() -> None:
    data = frame()
    second = of(data[300:], columns=["sex", "ses"])
    alike(of(data), of(data[:300]) + second)


def test_dropped_rows_of_the_parts_add_up() -> None:
    data = frame()
    data.loc[[3, 400, 401], "ses"] = np.nan
    with pytest.warns(UserWarning, match="dropped"):
        parts = [of(part, missing="drop") for part in (data[:300], data[300:])]
    assert (parts[0] + parts[1]).dropped == 3


DATA = frame()
LETTERS = DATA.assign(school=DATA["school"].map("school {}".format))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (of(DATA.rename(columns={"score": "s"}), y="s"), "same response, got 'score' and 's'"),
        (of(DATA.rename(columns={"school": "g"}), group="g"), "same group, got 'school' and 'g'"),
        (of(DATA, columns=["ses"]), r"of the same columns, got 'ses', 'sex' and 'ses'; .*select"),
        (of(DATA[DATA["sex"] != "X"]),
         r"same levels of 'sex', got \('F', 'M', 'X'\) and \('F', 'M'\); code it .* 0 and 1"),
        (of(DATA.assign(sex=DATA["sex"].replace({"F": "A"}))),
         r"same levels of 'sex', got \('F', 'M', 'X'\) and \('A', 'M', 'X'\)"),
        (of(LETTERS), "labels of one type in 'school', got strings and integers"),
    ],
    ids=["response", "group", "columns", "levels", "first level", "labels"],
)  # fmt: skip
def test_parts_of_other_kinds_are_not_merged(other: SufficientStatistics, message: str) -> None:
    with pytest.raises(DataError, match=message):
        of(DATA).merge(other)


def ids(labels: list[int], **options: Any) -> SufficientStatistics:
    """Two rows in each of the groups."""
    kind = "uint64" if max(labels) >= 2**63 else "int64"
    data = pd.DataFrame({"g": np.repeat(np.array(labels, dtype=kind), 2)})
    data["y"] = np.arange(len(data)) + 1.0
    return of(data, y="y", group="g", columns=[], **options)


def test_merged_halves_of_large_integers_are_the_whole() -> None:
    low, high = [5, 2**53 + 1, 2**53, 2**63 - 1], [2**63 + 1, 2**63, 2**64 - 1, 2**64 - 2]
    for first, second in ((low, high), (high, low), (low + high, low), (high, high)):
        merged = ids(first) + ids(second)
        assert merged.labels.dtype == np.uint64
        assert merged.labels.tolist() == list(dict.fromkeys([*first, *second]))
        assert merged.sizes.sum() == 2 * len(first + second)
    with pytest.raises(DataError, match=r"must all fit 64 bits .*; make the labels text"):
        ids([-1, 3]) + ids(high)


def test_text_stays_text_when_merged() -> None:
    merged = of(LETTERS[:300]) + of(LETTERS[300:])
    assert merged.labels.dtype.kind == "U"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([5, 7, 5])}, "labels of 'g' must differ, got 5 more than once"),
        ({"labels": np.array([1.5, 2.0, 3.0])}, "strings or integers, got float64"),
        ({"labels": np.array([None, 1, 2], dtype=object)}, "strings or integers, got object"),
        ({"within": np.full((3, 1, 1), np.nan)}, "within must be finite"),
        ({"centre": np.array([np.inf])}, "centre must be finite"),
    ],
)
def test_statistics_that_no_rows_have_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        replace(ids([1, 2, 3]), **changes)
    assert "\n" not in str(caught.value)


def test_a_file_of_labels_that_repeat_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = ids([1, 2]).save(tmp_path / "s.npz")
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "labels": np.array([1, 1])})
    with pytest.raises(DataError, match="labels of 'g' must differ, got 1 more than once"):
        SufficientStatistics.load(path)


def test_rows_whose_squares_overflow_are_refused_without_a_warning() -> None:
    data = pd.DataFrame({"y": [1e200, -1e200, 3e200], "g": [1, 2, 1]})
    with pytest.raises(
        DataError, match=r"spread of column 'y' .*mend or leave out .*take other units"
    ):
        of(data, y="y", group="g", columns=[])


def test_only_statistics_are_added() -> None:
    with pytest.raises(TypeError):
        of(DATA) + 1  # type: ignore[operator]
    with pytest.raises(OptionError, match="merge takes sufficient statistics, got DataFrame"):
        of(DATA).merge(DATA)  # type: ignore[arg-type]


def test_selected_columns_are_those_of_a_smaller_frame() -> None:
    statistics = of(DATA)
    alike(statistics.select(["sex"]), of(DATA, columns=["sex"]))
    alike(statistics.select(["sex", "ses"]), of(DATA, columns=["sex", "ses"]))
    alike(statistics.select([]), of(DATA, columns=[]))
    with pytest.raises(ColumnError, match=r"no column 'sez'; they have .*did you mean"):
        statistics.select(["sez"])


@pytest.mark.parametrize("data", [DATA, LETTERS], ids=["integers", "strings"])
def test_a_saved_one_is_read_back_to_the_bit(tmp_path: Path, data: pd.DataFrame) -> None:
    statistics = of(data)
    path = statistics.save(tmp_path / "exam.statistics")
    assert [f.name for f in tmp_path.iterdir()] == ["exam.statistics"]
    again = SufficientStatistics.load(str(path))
    assert again.labels.dtype == statistics.labels.dtype
    assert again.labels.tolist() == statistics.labels.tolist()
    for name in ("centre", "sizes", "group_means", "within", "minimum", "maximum"):
        np.testing.assert_array_equal(getattr(again, name), getattr(statistics, name))
    for name in ("response", "group", "columns", "sources", "levels", "dropped"):
        assert getattr(again, name) == getattr(statistics, name)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    whole = of(DATA).save(tmp_path / "whole").read_bytes()
    np.savez(tmp_path / "arrays.npz", a=np.arange(3))
    np.save(tmp_path / "array.npy", np.arange(3))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text").write_text("school,score\na,1\n")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    # Said to be encrypted; said to be deflated, which it is not; a head that is cut off.
    many = of(pd.DataFrame({"y": range(3000), "g": range(3000)}), y="y", group="g", columns=[])
    large = many.save(tmp_path / "large").read_bytes()
    listed, first, head = (large.index(what) for what in (b"PK\x01\x02", b"PK\x03\x04", b"NUMPY"))
    for name, changes in (
        ("locked", {listed + 8: 1}),
        ("deflated", {listed + 10: 8, first + 8: 8, head - 1: 7}),
        ("headless", {large.index(b"NUMPY", large.index(b"labels.npy")) + 7: 20}),
    ):
        changed = bytearray(large)
        for at, byte in changes.items():
            changed[at] = byte
        (tmp_path / name).write_bytes(changed)
    made = ("locked", "deflated", "headless")
    for name in ("arrays.npz", "array.npy", "pickle.npy", "text", "empty", "half", *made):
        with pytest.raises(DataError, match=f"{name}' must be a whole file that") as caught:
            SufficientStatistics.load(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"no such file .*none'; check the path"):
        SufficientStatistics.load(tmp_path / "none")
    with pytest.raises(DataError, match="could not be written: No such file"):
        of(DATA).save(tmp_path / "no" / "folder")


CLOSED = """
import os, sys
import pandas as pd
import hiermodels as hm
from hiermodels.families.gaussian import statistics_file

os.chdir(sys.argv[1])  # the folders above may be closed as well
held = hm.SufficientStatistics.load("open")
held.save("again")
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(12345, 12345, 12345)
    os.setresuid(12345, 12345, 12345)
for ask in (
    lambda: hm.SufficientStatistics.load("closed"),
    lambda: hm.SufficientStatistics.load("shut/open"),
    lambda: held.save("shut/again"),
):
    try:
        ask()
    except hm.HierModelsError as error:
        print(type(error).__name__, error)
"""


def test_a_closed_file_is_neither_missing_nor_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir()
    for name in ("open", "closed", "shut/open"):
        of(DATA).save(tmp_path / name)
    (tmp_path / "closed").chmod(0)
    (tmp_path / "shut").chmod(0)
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, tmp_path], capture_output=True, text=True, check=False
    )
    (tmp_path / "shut").chmod(0o700)
    assert done.returncode == 0, done.stderr
    look = "see whose it is, and its mode (`ls -ld`)"
    assert done.stdout.splitlines() == [
        f"DataError statistics: 'closed' cannot be read (Permission denied); {look}",
        f"DataError statistics: 'shut/open' cannot be read (Permission denied); {look}",
        "DataError statistics: 'shut/again' could not be written: Permission denied; check the "
        "folder",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="such a file is in Linux's /proc")
def test_a_disk_that_fails_does_not_make_a_file_one_of_another_kind() -> None:
    says = r"'/proc/self/mem' cannot be read \(Input/output error\); see to that, and try again"
    with pytest.raises(DataError, match=says):
        SufficientStatistics.load("/proc/self/mem")


@pytest.mark.parametrize("name", ["", "a\0b", "file/below", "pipe"])
def test_what_is_no_file_is_said_to_be_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"no such file .*; check the path"):
        SufficientStatistics.load(tmp_path / name)


def test_they_are_frozen_and_say_in_one_line_what_they_are() -> None:
    statistics = of(DATA)
    assert repr(statistics) == (
        "<SufficientStatistics of 'score' on 'ses', 'sex[M]', 'sex[X]': "
        "600 rows in 12 groups ('school')>"
    )
    assert statistics != of(DATA)
    assert len({statistics, statistics}) == 1
    with pytest.raises(ValueError, match="read-only"):
        statistics.products[0, 0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        statistics.within[0, 0, 0] = 1.0
    with pytest.raises(OptionError, match=r"within must have shape \(12, 4, 4\) .* got \(12,\)"):
        replace(statistics, within=np.zeros(12))
