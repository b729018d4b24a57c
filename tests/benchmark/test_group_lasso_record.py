"""The benchmark of the group lasso writes its page while its record grows."""

from __future__ import annotations

from benchmarks.bench_group_lasso import measured

ROW = {"kind": "ce", "d": 20_000, "c": 10, "ratio": 0.1}


def test_a_record_just_begun_has_no_ratios_yet():
    assert "got there in 0 of 0 rows." in measured({"rows": [{**ROW, "solvers": {}}]})
    alone = measured({"rows": [{**ROW, "solvers": {"head2toe": {"seconds": 0.2, "error": 1e-4}}}]})
    assert "The fastest library got there in 0 of 1 rows." in alone


def test_ratios_are_those_of_the_fastest_library():
    solvers = {name: {"seconds": t, "error": 0.0} for name, t in (("head2toe", 0.5), ("adelie", 4.0), ("skglm", 9.0))}
    assert "in 1 of 1 rows, in 8.0 to 8.0 times our seconds" in measured({"rows": [{**ROW, "solvers": solvers}]})
