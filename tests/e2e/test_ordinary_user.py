"""An ordinary user brings labs up; the pods are not root there either. Needs root to become that user."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ordinary_user import User, ordinary_user

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def ordinary() -> Iterator[User]:
    if os.geteuid() != 0:
        pytest.fail("run this suite as root: it becomes an ordinary user itself")
    with ordinary_user() as user:
        yield user


@pytest.mark.parametrize("mode", ["iptables", pytest.param("nftables", marks=pytest.mark.slow)])
def test_an_ordinary_user_brings_a_lab_up(ordinary: User, mode: str) -> None:
    ordinary.ok("up", mode, "--verify")
    held = ordinary.privileges(mode, "worker")
    assert held
    for uid, capabilities, no_new in held:
        assert uid != 0
        assert int(capabilities, 16) == 0
        assert no_new == "1"
    assert ordinary.ok("down", mode).code == 0
