"""Verify finds every change that a packet can meet, and nothing that a healthy node may look like."""

from __future__ import annotations

import pytest
from equivalences import REASONS
from mutants import Duty, Score
from subjects import RECORDED, subjects


def held(name: str, share: float) -> Score:
    total = Score()
    for subject in subjects(name, ("default",)):
        total.include(subject.score(share, asked=0.02, seed=1))
    assert total.wrong == []
    assert total.share(Duty.FOUND)[1] > 5
    assert {why for _, why in total.survivors} <= REASONS.keys()
    return total


@pytest.mark.parametrize("name", RECORDED)
def test_a_sample_of_every_version_and_mode(name: str) -> None:
    held(name, 0.005)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_many_of_every_version_and_mode(name: str) -> None:
    held(name, 0.1)
