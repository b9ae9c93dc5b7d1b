"""`kubewire versions`: what is known, what is in the cache, what the sources list, and what of it is new."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from moduleproxy import ModuleProxy
from releasehost import Heard, ReleaseHost

from kubewire.binaries import store
from kubewire.binaries.catalog import COMPLETE, KIND, KUBE_PROXY, MINORS, Artifact, Origins
from kubewire.binaries.offers import MODULES, RELEASES, Offer, newest_of_each_minor, offers
from kubewire.binaries.resolving import resolve
from kubewire.core.errors import DefinitionError
from kubewire.report.versions_text import kind_line, kubernetes_lines, newer_minors, to_json, to_text

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="no go on PATH")


@pytest.fixture
def published(release_host: ReleaseHost) -> ReleaseHost:
    """A host whose newest minor is 1.39; 1.38 was never released."""
    for minor in (*MINORS, 39):
        release_host.files[f"/release/stable-1.{minor}.txt"] = f"v1.{minor}.9\n".encode()
    release_host.files["/release/stable.txt"] = b"v1.39.9\n"
    project = "/kubernetes-sigs/kind/releases"
    release_host.redirects[f"{project}/latest"] = f"{project}/tag/v0.99.0"
    return release_host


def test_the_release_hosts_are_asked_first(published: ReleaseHost, heard: Heard) -> None:
    kubernetes, kind = offers(progress=heard, origins=published.origins())
    assert (kubernetes.source, kubernetes.why) == (RELEASES, "")
    assert kubernetes.newest == {minor: f"v1.{minor}.9" for minor in (*MINORS, 39)}
    assert (kind.newest, kind.source) == ({99: "v0.99.0"}, RELEASES)


@needs_go
def test_else_the_module_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard, unreachable: Origins
) -> None:
    modules = ModuleProxy(tmp_path / "modules")
    monkeypatch.setenv("GOPROXY", modules.url)
    monkeypatch.setenv("GOSUMDB", "off")
    for version in ("v1.38.0", "v1.38.10", "v1.38.9", "v1.39.0-rc.1"):
        modules.publish_kubernetes(version)
    modules.publish_kind("v0.40.0")
    kubernetes, kind = offers(progress=heard, origins=unreachable)
    assert (kubernetes.newest, kubernetes.source) == ({38: "v1.38.10"}, MODULES)
    assert "127.0.0.1 can't be reached" in kubernetes.why
    assert kind.newest == {40: "v0.40.0"}


def test_offline_it_says_so(heard: Heard, unreachable: Origins, nothing_to_build_with: None) -> None:
    kubernetes, kind = offers(progress=heard, origins=unreachable)
    assert (kubernetes.newest, kubernetes.source) == ({}, "")
    assert "127.0.0.1 can't be reached" in kubernetes.why
    assert "no Go at hand" in kubernetes.why
    text = to_text(kubernetes_lines([], kubernetes), kind_line(KIND, [], kind), kubernetes, kind)
    assert "Kubernetes: nothing could be asked (127.0.0.1" in text
    assert f"1.37     {COMPLETE[37]}" in text


def test_a_marker_that_is_none_counts_for_nothing(published: ReleaseHost, heard: Heard) -> None:
    published.files["/release/stable.txt"] = b"<html>welcome to this hotel</html>"
    published.redirects.clear()
    kubernetes, _ = offers(progress=heard, origins=published.origins())
    assert kubernetes.source != RELEASES
    assert "stable.txt reads '<html>" in kubernetes.why


def test_a_new_minor_is_resolved_by_its_marker(
    published: ReleaseHost, heard: Heard, nothing_to_build_with: None
) -> None:
    assert resolve("1.39", progress=heard, origins=published.origins()) == "v1.39.9"
    for wanted in ("1.38", "1.38.0", "1.39.10"):
        with pytest.raises(DefinitionError, match="does not exist"):
            resolve(wanted, progress=heard, origins=published.origins())


def test_new_patches_and_minors_are_told_apart() -> None:
    offer = Offer({28: "v1.28.15", 36: "v1.36.9", 37: "v1.37.2", 38: "v1.38.0"}, RELEASES)
    lines = {line.minor: line for line in kubernetes_lines(["v1.36.9", "v1.35.2", "v1.35.10"], offer)}
    assert list(lines) == [f"1.{minor}" for minor in range(38, 28, -1)]
    assert (lines["1.38"].known, lines["1.38"].news) == ("", "new minor")
    assert "checked by the rules of 1.37" in lines["1.38"].note
    assert lines["1.37"].news == lines["1.36"].news == "", "what is known or in the cache is no news"
    assert lines["1.35"].cached == ("v1.35.10", "v1.35.2")
    assert kubernetes_lines([], offer)[2].news == "new patch"
    assert newer_minors(["v1.40.1", "v1.36.0"], offer) == [38, 40]


@pytest.mark.parametrize(
    ("offered", "news"),
    [("v0.33.0", ""), ("v0.32.9", ""), ("v0.33.1", "new patch"), ("v0.34.0", "new minor")],
)
def test_kinds_newest_release_is_told(offered: str, news: str) -> None:
    assert kind_line("v0.33.0", [], Offer(newest_of_each_minor([offered]), MODULES)).news == news


def test_json_has_all_of_it() -> None:
    offer = Offer({38: "v1.38.0"}, MODULES, "dl.k8s.io can't be reached")
    lines = kubernetes_lines(["v1.37.2"], offer)
    found = json.loads(to_json(lines, kind_line(KIND, [KIND], Offer()), offer, Offer(why="no network")))
    assert found["schema"] == 1
    assert found["kubernetes"]["source"] == MODULES
    assert found["kubernetes"]["versions"][0] == {
        "minor": "1.38",
        "known": "",
        "cached": [],
        "offered": "v1.38.0",
        "news": "new minor",
        "note": "checked by the rules of 1.37, the newest that kubewire knows",
    }
    assert found["kind"]["versions"][0]["cached"] == [KIND]
    assert found["kind"]["unreachable"] == "no network"


def test_the_cache_tells_whole_versions_only(cache: Path) -> None:
    cache.mkdir(parents=True)
    for artifact, binary in (
        (Artifact("kubernetes", "v1.37.2"), KUBE_PROXY),
        (Artifact("kind", KIND), "kind"),
    ):
        (cache / binary).write_bytes(b"x")
        store.add(artifact, binary, cache / binary, "test")
    (cache / "bin" / "v1.36.3").mkdir()
    (cache / "bin" / "v1.99-old").mkdir()
    assert store.complete_versions((KUBE_PROXY,)) == ("v1.37.2",)
    assert store.complete_versions(("kind",), "kind") == (KIND,)
