"""Each path that docs/house.md and CONTRIBUTING.md name exists."""

from __future__ import annotations

import re

import pytest

from repository import ROOT

NAMED = sorted(
    {
        path
        for page in ("docs/house.md", "CONTRIBUTING.md")
        for path in re.findall(r"`([a-z_]+/[a-zA-Z_/.]+)`", (ROOT / page).read_text())
    }
)


@pytest.mark.parametrize("path", NAMED)
def test_it_exists(path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / "src" / "kubewire" / path).exists()
