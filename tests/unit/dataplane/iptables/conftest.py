"""The recorded nodes with every Service feature, in iptables mode."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataplane_golden import RICH, Bench, bench


@pytest.fixture(
    params=[
        ("rich-worker", "ipv4", 7),
        ("rich-worker2", "ipv6", 3),
        pytest.param(("rich-worker", "ipv4", 1), marks=pytest.mark.slow),
        pytest.param(("rich-worker2", "ipv4", 1), marks=pytest.mark.slow),
        pytest.param(("rich-worker2", "ipv6", 1), marks=pytest.mark.slow),
    ]
)
def rich(request: pytest.FixtureRequest) -> Bench:
    """A node with every Service feature, and which share of its rules to try: every seventh, third, each."""
    node, family, step = request.param
    return replace(bench(RICH, node, family), step=step)


@pytest.fixture
def worker() -> Bench:
    return bench(RICH, "rich-worker", "ipv4")
