"""The recorded nodes with every Service feature, in iptables mode."""

from __future__ import annotations

import pytest
from dataplane_golden import RICH, Bench, bench


@pytest.fixture(params=[("rich-worker", "ipv4"), ("rich-worker2", "ipv6")])
def rich(request: pytest.FixtureRequest) -> Bench:
    """The nodes with every Service feature."""
    return bench(RICH, *request.param)


@pytest.fixture
def worker() -> Bench:
    return bench(RICH, "rich-worker", "ipv4")
