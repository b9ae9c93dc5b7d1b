"""What every suite shares."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any load")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files with what was seen")
    parser.addoption("--update-screenshots", action="store_true", help="make the pictures in docs/ anew")
    parser.addoption("--until", type=int, help="begin no test after this time (seconds since the epoch)")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A machine that must end in time tells which tests it did not come to, rather than being ended."""
    until = item.config.getoption("--until")
    if until and time.time() > until:
        pytest.skip("NOT RUN: the time limit was reached (make test-all sets no limit)")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Hold a text against a golden file; with --update-golden, rewrite the file instead."""

    def hold(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{path} is missing: run pytest --update-golden and read what it wrote"
        assert text == path.read_text()

    return hold
