"""How many requests show that every replica is served, and when a spread is too uneven to be chance.

A healthy dataplane picks each of R replicas with probability 1/R, request by request. One verify run makes
several such claims; together they may fail a healthy lab less often than BUDGET.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, exp, lgamma, log, log1p

BUDGET = 1e-6
FEWEST = 8


def requests_needed(replicas: int, claims: int) -> int:
    """The least N after which a healthy run leaves a replica out with at most BUDGET / (2 · claims).

    The coupon collector's union bound: P(some replica unseen) ≤ R · (1 - 1/R)^N.
    """
    if replicas < 2:
        return FEWEST
    allowed = BUDGET / (2 * claims)
    return max(FEWEST, ceil(log(replicas / allowed) / -log1p(-1 / replicas)))


def uneven(counts: Mapping[str, int], replicas: Sequence[str], claims: int) -> list[str]:
    """The replicas whose share is not chance: a two-sided exact binomial tail, each of the 2 · R tails with
    its part of BUDGET / (2 · claims).
    """
    total = sum(counts.get(name, 0) for name in replicas)
    if len(replicas) < 2 or not total:
        return []
    allowed = BUDGET / (2 * claims) / (2 * len(replicas))
    share = 1 / len(replicas)
    return [name for name in replicas if tail(counts.get(name, 0), total, share) < allowed]


def tail(count: int, total: int, share: float) -> float:
    """The smaller of P(X ≤ count) and P(X ≥ count) for X binomial(total, share), 0 < share < 1."""
    below = sum(_mass(k, total, share) for k in range(count + 1))
    above = sum(_mass(k, total, share) for k in range(count, total + 1))
    return min(below, above)


def _mass(k: int, n: int, p: float) -> float:
    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return exp(ways + k * log(p) + (n - k) * log1p(-p))
