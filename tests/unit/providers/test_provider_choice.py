"""Which provider, and why; it never switches under a lab."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import kubewire.app  # noqa: F401 - hands the providers to what reads lab files
from docker_stand_in import docker_host
from kubewire.core.errors import DefinitionError, LabError
from kubewire.lab.loading import LabFileError, load_lab
from kubewire.providers import registry
from kubewire.providers.kind import engine as docker_engine
from kubewire.providers.netns.provider import NetnsProvider
from kubewire.providers.registry import Choice, choose, get_provider
from repository import ROOT


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with docker_host(tmp_path, monkeypatch, {"ApiVersion": "1.47"}):
        yield


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(docker_engine, "SOCKET", tmp_path / "none")
    monkeypatch.setenv("HOME", str(tmp_path))


def test_without_docker_it_is_netns_and_says_why(no_engine: None) -> None:
    assert choose("auto") == Choice(
        "netns", "no Docker engine answers, so the lab runs embedded on this machine"
    )


def test_with_docker_it_is_kind_and_says_so(engine: None) -> None:
    assert choose("auto") == Choice("kind", "a Docker engine answers")


def test_a_dead_engine_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert docker_engine.why_silent() == "no Docker engine answers"


def test_what_is_asked_for_is_taken(engine: None) -> None:
    assert choose("netns") == Choice("netns", "asked for")
    assert choose("kind") == Choice("kind", "asked for")
    with pytest.raises(DefinitionError, match="no provider 'podman'"):
        choose("podman")


def test_the_recorded_choice_stays(engine: None) -> None:
    recorded = Choice("netns", "as it was")
    assert choose("auto", recorded=recorded) is recorded
    assert choose("netns", recorded=recorded) is recorded
    with pytest.raises(DefinitionError, match="created with provider netns"):
        choose("kind", recorded=recorded, lab="iptables")


class Other(NetnsProvider):
    name = "other"
    rank = 5
    why = "it is preferred"

    def why_not_here(self) -> str:
        return "" if self.able else "it is broken"

    able = True


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"other": f"{__name__}:Other", "broken": "nowhere:Provider"}
    monkeypatch.setattr(registry, "_registered", lambda: found)


def test_a_provider_of_another_package_is_asked_in_its_place(
    other: None, engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose("other") == Choice("other", "asked for")
    assert choose("auto") == Choice("other", "it is preferred")
    monkeypatch.setattr(Other, "able", False)
    assert choose("auto") == Choice("kind", "it is broken, so a Docker engine answers")


def test_one_that_cannot_be_loaded_is_in_nobodys_way(other: None, no_engine: None) -> None:
    assert [provider.name for provider in registry.providers()] == ["netns", "kind", "other"]
    with pytest.raises(LabError, match="'broken' can't be loaded: No module named 'nowhere'"):
        get_provider("broken")
    with pytest.raises(LabError, match="'missing' is not known"):
        get_provider("missing")


def test_what_is_built_in_is_registered_like_any_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"][registry.GROUP] == registry.BUILT_IN


def test_a_labs_file_names_a_provider_that_there_is(other: None, tmp_path: Path) -> None:
    file = tmp_path / "demo.yml"
    for name in ("auto", "kind", "other"):
        file.write_text(f"mode: iptables\nprovider: {name}\n")
        assert load_lab(file).provider == name
    file.write_text("mode: iptables\nprovider: knd\n")
    with pytest.raises(LabFileError, match="2:11: provider: “knd” is not known: did you mean “kind”"):
        load_lab(file)
    file.write_text("mode: iptables\nprovider: kind\ncontrolPlane: 1.37\n")
    with pytest.raises(LabFileError, match="3:15: controlPlane is for provider netns"):
        load_lab(file)


def test_one_that_cannot_be_loaded_is_an_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_provider.py").write_text("raise RuntimeError('no good')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_registered", lambda: {"broken": "broken_provider:Provider"})
    with pytest.raises(LabError, match="provider 'broken' can't be loaded: no good"):
        get_provider("broken")
    assert {each.name for each in registry.providers()} == {"netns", "kind"}
