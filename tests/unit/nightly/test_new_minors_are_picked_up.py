"""Selectors such as “latest 3 minors” mean newly listed ones, too, and what that means is said loudly."""

from __future__ import annotations

import pytest

from kubewire.binaries.catalog import MINORS
from kubewire.core.errors import DefinitionError, HostError
from kubewire.matrix.plan import control_planes
from kubewire.matrix.schema import Matrix
from kubewire.nightly.session import Chosen, choose

LATEST = Matrix(labs=("x",), versions=("latest 3 minors", "1.34"))


def resolve(word: str) -> str:
    if word == "1.39":
        raise HostError("Kubernetes 1.39 can't be had")
    if word == "1.50":
        raise DefinitionError("Kubernetes 1.50 does not exist")
    return f"v{word}" if word.count(".") == 2 else f"v{word}.9"


def chosen(matrix: Matrix, *newer: int, only: tuple[str, ...] = ()) -> Chosen:
    return choose(matrix, only, resolve=resolve, newer=lambda: newer)


def test_the_latest_minors_are_the_latest_listed_ones() -> None:
    assert chosen(LATEST).versions == ("v1.37.9", "v1.36.9", "v1.35.9", "v1.34.9")
    assert chosen(LATEST).notes == ()
    assert chosen(LATEST, 38).versions == ("v1.38.9", "v1.37.9", "v1.36.9", "v1.34.9")
    assert len(chosen(Matrix(labs=("x",)), 38).versions) == len(MINORS) + 1


def test_it_is_said_whose_rules_judge_them() -> None:
    [note] = chosen(LATEST, 38).notes
    assert "v1.38.9 is newer than 1.37, the newest whose rules kubewire knows" in note
    [note] = chosen(Matrix(labs=("x",), versions=("1.38.1",))).notes
    assert "v1.38.1 is newer" in note


def test_one_that_cant_be_had_is_left_out_and_said() -> None:
    found = chosen(LATEST, 38, 39)
    assert found.versions == ("v1.38.9", "v1.37.9", "v1.36.9", "v1.34.9")
    assert found.notes[0] == "Kubernetes 1.39 is listed, and left out: Kubernetes 1.39 can't be had"


def test_one_that_is_named_must_be_had() -> None:
    with pytest.raises(DefinitionError, match=r"1\.50 does not exist"):
        chosen(Matrix(labs=("x",), versions=("1.50",)))


def test_nobody_is_asked_without_need() -> None:
    def ask() -> list[int]:
        raise AssertionError

    named = Matrix(labs=("x",), versions=("1.37", "1.34.4"))
    assert choose(named, (), resolve=resolve, newer=ask).versions == ("v1.37.9", "v1.34.4")
    known = chosen(LATEST, 38, 39, only=("kubernetes<1.38",))
    assert known == Chosen(("v1.37.9", "v1.34.9")), "--only narrows, and leaves “latest” what it is"


def test_a_new_minor_runs_beside_its_own_control_plane() -> None:
    beside = control_planes(["v1.39.0", "v1.38.0", "v1.37.2", "v1.35.4"], "newest-in-skew", releases=False)
    assert set(beside.values()) == {"v1.39.0", "v1.35.4"}
    assert beside["v1.35.4"] == "v1.35.4"
