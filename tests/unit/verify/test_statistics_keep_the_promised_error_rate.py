"""A healthy run fails less often than the budget: computed exactly, not sampled."""

from __future__ import annotations

from math import comb

import pytest

from kubewire.verify.statistics import BUDGET, FEWEST, requests_needed, tail, uneven


def chance_to_miss_one(replicas: int, requests: int) -> float:
    """P(some replica unseen), by inclusion and exclusion."""
    return sum(
        (-1) ** (k + 1) * comb(replicas, k) * (1 - k / replicas) ** requests for k in range(1, replicas + 1)
    )


@pytest.mark.parametrize("replicas", [2, 3, 4, 7, 12])
@pytest.mark.parametrize("claims", [1, 2, 8])
def test_missing_a_healthy_replica_stays_within_the_budget(replicas: int, claims: int) -> None:
    needed = requests_needed(replicas, claims)
    assert chance_to_miss_one(replicas, needed) * claims <= BUDGET / 2
    assert needed == FEWEST or replicas * (1 - 1 / replicas) ** (needed - 1) > BUDGET / (2 * claims)


@pytest.mark.parametrize("replicas", [2, 4, 7])
@pytest.mark.parametrize("claims", [1, 4])
def test_calling_a_healthy_spread_uneven_stays_within_the_budget(replicas: int, claims: int) -> None:
    total = requests_needed(replicas, claims)
    names = [str(number) for number in range(replicas)]
    share = 1 / replicas
    flagged = 0.0
    for count in range(total + 1):
        rest = {names[1]: total - count} if replicas > 1 else {}
        if names[0] in uneven({names[0]: count, **rest}, names, claims):
            flagged += comb(total, count) * share**count * (1 - share) ** (total - count)
    assert flagged * replicas * claims <= BUDGET / 2


@pytest.mark.parametrize(
    ("counts", "wrong"),
    [
        ({"a": 15, "b": 14, "c": 13, "d": 16}, []),
        ({"a": 48, "b": 4, "c": 3, "d": 3}, ["a"]),
        ({"a": 1, "b": 200, "c": 200, "d": 200}, ["a"]),
    ],
)
def test_gross_unfairness_is_seen(counts: dict[str, int], wrong: list[str]) -> None:
    assert uneven(counts, list("abcd"), 2) == wrong


def test_one_replica_is_never_uneven() -> None:
    assert uneven({"a": 9}, ["a"], 1) == []


def test_the_tail_is_the_binomials() -> None:
    assert tail(0, 10, 0.5) == pytest.approx(2**-10)
    assert tail(10, 10, 0.25) == pytest.approx(0.25**10)
