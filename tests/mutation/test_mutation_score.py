"""Verify finds every change that a packet can meet, and nothing that a healthy node may look like."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutants import Duty
from subjects import RECORDED, score


def held(folder: Path, share: float) -> None:
    total = score(folder, ("default",), share, seed=1)
    assert total.wrong == []
    assert total.share(Duty.FOUND)[1] > 5


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_a_sample_of_every_version_and_mode(folder: Path) -> None:
    held(folder, 0.005)


@pytest.mark.slow
@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_many_of_every_version_and_mode(folder: Path) -> None:
    held(folder, 0.1)
