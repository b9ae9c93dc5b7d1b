"""The download path, against a real HTTP server: checksums, resume, archives, failures, and the plan."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from releasehost import Heard, ReleaseHost, body, tgz

from kubewire.binaries import store
from kubewire.binaries.catalog import CNI_PLUGINS, Artifact, Origins
from kubewire.binaries.supply import Binaries, ensure, ensure_kube_proxy, plan
from kubewire.binaries.toolchain import architecture
from kubewire.core.errors import DefinitionError, HostError

pytestmark = pytest.mark.usefixtures("nothing_to_build_with")
VERSION = "v1.37.2"


@pytest.fixture
def published(release_host: ReleaseHost) -> ReleaseHost:
    release_host.publish_kubernetes(VERSION)
    release_host.publish_beside()
    return release_host


def url_path(binary: str) -> str:
    return f"/release/{VERSION}/bin/linux/{architecture()}/{binary}"


def fetched(host: ReleaseHost, heard: Heard, wanted: str = VERSION, *, dns: bool = False) -> Binaries:
    return ensure(wanted, dns=dns, progress=heard, origins=host.origins())


def test_everything_comes_from_the_releases_and_then_from_the_cache(
    published: ReleaseHost, heard: Heard, cache: Path
) -> None:
    binaries = fetched(published, heard, dns=True)
    assert binaries.version == binaries.control_plane_version == VERSION
    assert binaries.kube_proxy.read_bytes() == body(f"kube-proxy {VERSION}", 200_000)
    assert binaries.etcd.read_bytes() == body("etcd")
    assert binaries.coredns
    assert binaries.coredns.read_bytes() == body("coredns")
    for plugin in CNI_PLUGINS:
        assert os.access(binaries.cni_dir / plugin, os.X_OK)
    assert not (binaries.cni_dir / "bridge").exists()
    assert any("official release" in line for line in heard)

    published.asked.clear()
    assert fetched(published, heard, dns=True) == binaries
    assert published.asked == []
    assert list((cache / "build").iterdir()) == [cache / "build" / ".lock"]
    assert list((cache / "download").iterdir()) == []


def test_a_broken_off_transfer_goes_on_where_it_stopped(published: ReleaseHost, heard: Heard) -> None:
    published.break_off_once[url_path("kube-apiserver")] = 70_000
    binaries = fetched(published, heard)
    assert binaries.kube_apiserver.read_bytes() == body(f"kube-apiserver {VERSION}", 200_000)
    ranges = [wanted for path, wanted in published.asked if path == url_path("kube-apiserver")]
    assert ranges[0] == ""
    assert 0 < int(ranges[1].removeprefix("bytes=").rstrip("-")) <= 70_000


def test_a_part_from_an_earlier_run_is_taken_up(published: ReleaseHost, heard: Heard, cache: Path) -> None:
    part = cache / "download" / f"{VERSION}-kubectl.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(body(f"kubectl {VERSION}", 200_000)[:150_000])
    fetched(published, heard)
    assert (url_path("kubectl"), "bytes=150000-") in published.asked


@pytest.mark.parametrize("left", [b"rubbish", b"x" * 200_000, b"x" * 300_000])
def test_a_useless_part_is_fetched_from_the_start(
    published: ReleaseHost, heard: Heard, cache: Path, left: bytes
) -> None:
    part = cache / "download" / f"{VERSION}-kubectl.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    assert fetched(published, heard).kubectl.read_bytes() == body(f"kubectl {VERSION}", 200_000)


def test_a_server_without_ranges_is_fine(published: ReleaseHost, heard: Heard, cache: Path) -> None:
    published.ignores_range = True
    part = cache / "download" / f"{VERSION}-kubectl.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(body(f"kubectl {VERSION}", 200_000)[:150_000])
    assert fetched(published, heard).kubectl.read_bytes() == body(f"kubectl {VERSION}", 200_000)


def test_a_wrong_checksum_is_never_stored(published: ReleaseHost, heard: Heard) -> None:
    published.files[url_path("kube-scheduler")] = body("something else", 200_000)
    with pytest.raises(HostError, match=r"does not have its published checksum") as failed:
        fetched(published, heard)
    assert failed.value.exit_code == 3
    missing = store.missing(Artifact("kubernetes", VERSION), ("kube-scheduler", "kube-proxy"))
    assert missing == ("kube-scheduler",)


def test_a_harmed_binary_is_fetched_again_and_only_that_one(published: ReleaseHost, heard: Heard) -> None:
    binaries = fetched(published, heard)
    os.truncate(binaries.kube_proxy, 5)
    published.asked.clear()
    fetched(published, heard)
    assert {path for path, _ in published.asked} == {
        url_path("kube-proxy"),
        url_path("kube-proxy") + ".sha256",
    }
    assert binaries.kube_proxy.stat().st_size == 200_000


def test_an_archive_without_the_binary_is_refused(published: ReleaseHost, heard: Heard) -> None:
    path = next(path for path in published.files if path.endswith(".tgz") and "cni" in path)
    published.publish(path, tgz({"./ptp": body("ptp"), "../portmap": b"out of the folder"}))
    with pytest.raises(HostError, match="holds no host-local, loopback, portmap"):
        fetched(published, heard)


def test_only_kube_proxy(published: ReleaseHost, heard: Heard) -> None:
    assert ensure_kube_proxy(VERSION, progress=heard, origins=published.origins()).stat().st_size == 200_000
    assert published.times_asked(url_path("kubectl")) == 0


def test_a_minor_is_its_newest_release(published: ReleaseHost, heard: Heard) -> None:
    published.publish_kubernetes("v1.34.9")
    published.files["/release/stable-1.34.txt"] = b"v1.34.9"
    assert fetched(published, heard, "1.34").version == "v1.34.9"
    assert any("1.34 is v1.34.9: its newest official release" in line for line in heard)
    published.asked.clear()
    assert fetched(published, heard, "1.34").version == "v1.34.9"
    assert published.asked == []


def test_the_oldest_minor_is_whole_where_releases_are_to_be_had(published: ReleaseHost, heard: Heard) -> None:
    published.publish_kubernetes("v1.29.6")
    assert fetched(published, heard, "1.29.6").control_plane_version == "v1.29.6"


def test_a_version_that_was_never_released_is_a_wrong_definition(
    published: ReleaseHost, heard: Heard
) -> None:
    published.files["/release/stable-1.34.txt"] = b"v1.34.9"
    with pytest.raises(DefinitionError, match=r"v1\.34\.77 does not exist") as refused:
        fetched(published, heard, "1.34.77")
    assert "v1.34.9" in refused.value.hint


def test_the_plan_tells_what_would_be_fetched_and_fetches_nothing(
    published: ReleaseHost, heard: Heard
) -> None:
    before = plan(VERSION, progress=heard, origins=published.origins())
    assert {step.source for step in before.steps} == {"release"}
    assert not before.cached
    assert before.download_bytes > 0
    assert not [path for path, _ in published.asked if path in published.files]
    fetched(published, heard)
    after = plan(VERSION, progress=heard, origins=published.origins())
    assert after.cached
    assert (after.seconds, after.download_bytes, after.version) == (0, 0, VERSION)


def test_without_network_and_go_every_source_is_named(
    unreachable: Origins, heard: Heard, cache: Path
) -> None:
    with pytest.raises(HostError) as failed:
        ensure("1.37", progress=heard, origins=unreachable)
    assert failed.value.exit_code == 3
    said = str(failed.value)
    for word in (
        "official release: 127.0.0.1 can't be reached",
        "Go modules: no Go on PATH",
        "PyPI",
        "GOPROXY",
    ):
        assert word in said
    assert [entry.name for entry in (cache / "build").iterdir()] == [".lock"]
