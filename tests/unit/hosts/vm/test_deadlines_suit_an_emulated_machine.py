"""KUBEWIRE_PATIENCE lengthens deadlines; nothing that it may say shortens one."""

from __future__ import annotations

import pytest

from kubewire.core.timeouts import VARIABLE, scaled


@pytest.mark.parametrize(
    ("said", "seconds"), [("5", 50.0), ("0.1", 10.0), ("-3", 10.0), ("much", 10.0), ("", 10.0)]
)
def test_only_a_multiple_counts(monkeypatch: pytest.MonkeyPatch, said: str, seconds: float) -> None:
    monkeypatch.setenv(VARIABLE, said)
    assert scaled(10.0) == seconds
