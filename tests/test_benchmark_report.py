"""What the benchmark suite says about its measurements."""

import pytest

from tests.benchmarks import report


def one(first: float, run: float, sums: list[float]) -> dict:
    return {"first": first, "run": run, "peak": 100.0, "checksums": sums}


@pytest.fixture
def rounds() -> report.Rounds:
    ours = [one(3.0, 1e-3, [2.0]), one(1.0, 1e-3, [2.0]), one(1.2, 3e-3, [2.0])]
    return {"funcgrad": ours, "jax": [one(2.0, 4e-3, [2.0])] * 2, "torch": [one(2.0, 1e-3, [2.5])] * 2}


def test_cold_is_the_first_round_and_the_rest_are_medians(rounds):
    assert report.middle(rounds["funcgrad"], "cold") == 3.0
    assert report.middle(rounds["funcgrad"], "warm") == pytest.approx(1.1)
    assert report.middle(rounds["funcgrad"], "run") == pytest.approx(2e-3)
    assert report.middle(rounds["funcgrad"], "new_shape") is None


def test_ratios_above_one_are_in_favour_of_funcgrad(rounds):
    assert report.ratios(rounds, "run") == pytest.approx({"jax": 2.0, "torch": 0.5})


def test_a_peer_with_other_results_is_named(rounds):
    assert report.agreement(rounds, chaotic=False) == "not with torch"
    assert report.agreement(rounds, chaotic=True) == "chaotic"
    assert not report.agree([1.0], [1.0, 2.0])


def test_the_table_has_a_cell_for_each_column_and_the_means(rounds):
    width = report.header().splitlines()[0].count("|")
    assert report.line("work", rounds, chaotic=False).count("|") == width
    last = report.means({"a": rounds, "b": rounds})
    assert last.count("|") == width
    assert "jax 2.00" in last


def test_a_peer_that_failed_is_left_out(rounds):
    del rounds["torch"]
    assert "torch" not in report.line("work", rounds, chaotic=False)
