"""What a lab on kind can't be made of is told before anything is made, or leaves nothing when it is found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Kubewire, Outcome
from on_kind import NODE_IMAGE, built_on_node_image, docker, engine_picture, kept_files, write_lab

from kubewire.binaries.toolchain import architecture
from kubewire.providers.kind.engine import connect
from kubewire.providers.kind.image.archive import Image, make_layer, write

pytestmark = [pytest.mark.kind, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _nothing_is_left(kubewire: Kubewire) -> Iterator[None]:
    before = engine_picture()
    yield
    assert engine_picture() == before


def refused(kubewire: Kubewire, folder: Path, **keys: object) -> Outcome:
    outcome = kubewire.run("up", write_lab(folder, "refused", **keys))
    assert not (kubewire.state / "kubewire" / "labs").exists()
    return outcome


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[str]:
    """A loaded image of Kubernetes v1.36.3, by its file /kind/version, and of another architecture."""
    reference = "kubewire/test-node:other"
    other = "arm64" if architecture() != "arm64" else "amd64"
    (tmp_path / "version").write_text("v1.36.3")
    layer = make_layer(tmp_path / "layer.tar", {"kind/version": tmp_path / "version"})
    write(tmp_path / "image.tar", [Image((reference,), (layer,))], other)
    engine = connect()
    with (tmp_path / "image.tar").open("rb") as archive:
        engine.load(archive)
    yield reference
    engine.client.images.remove(reference)
    engine.close()


def test_a_node_image_of_another_version_or_architecture(
    tiny: str, tmp_path: Path, kubewire: Kubewire
) -> None:
    outcome = refused(kubewire, tmp_path, nodeImage=tiny)
    assert outcome.code == 2
    assert "holds Kubernetes v1.36.3, and the lab asks for 1.37" in outcome.text
    outcome = refused(kubewire, tmp_path, nodeImage=tiny, kubernetes="1.36")
    assert outcome.code == 3
    assert "and the Docker engine runs" in outcome.text


def test_an_image_that_is_none_of_kinds(tmp_path: Path, kubewire: Kubewire) -> None:
    layer = make_layer(tmp_path / "layer.tar", folders=("etc",))
    write(tmp_path / "image.tar", [Image(("kubewire/test-empty:1",), (layer,))], architecture())
    docker("load", "-i", str(tmp_path / "image.tar"))
    try:
        outcome = refused(kubewire, tmp_path, nodeImage="kubewire/test-empty:1")
    finally:
        docker("rmi", "kubewire/test-empty:1")
    assert outcome.code == 4
    assert "is not a kind node image" in outcome.text


def test_an_image_that_cannot_be_pulled_names_its_size_and_every_way_out(
    tmp_path: Path, kubewire: Kubewire
) -> None:
    outcome = refused(kubewire, tmp_path, nodeImage="localhost:1/kindest/node:v1.37.9")
    assert outcome.code == 3
    first = outcome.err.splitlines()[0]
    assert "about 400 MB to download" in first
    for way in ("--provider netns", "kubewire image build 1.37", "docker load"):
        assert way in outcome.text


@pytest.mark.skipif(Path("/proc/net/ip_vs").exists(), reason="this kernel has ip_vs")
def test_an_ipvs_lab_where_the_kernel_has_no_ip_vs(tmp_path: Path, kubewire: Kubewire) -> None:
    outcome = refused(kubewire, tmp_path, mode="ipvs")
    assert outcome.code == 3
    assert "kernel: ip_vs: " in outcome.text
    assert "modprobe" in outcome.text or "a lab in mode nftables" in outcome.text


def test_a_foreign_cluster_is_never_touched(tmp_path: Path, kubewire: Kubewire) -> None:
    name, labels = "foreign-control-plane", ("cluster=foreign", "role=control-plane")
    marks = [word for label in labels for word in ("--label", f"io.x-k8s.kind.{label}")]
    docker("create", "--name", name, *marks, "--entrypoint", "true", NODE_IMAGE)
    try:
        outcome = kubewire.run("up", write_lab(tmp_path, "foreign"))
        assert outcome.code == 2
        assert "kubewire didn't make it" in outcome.text
        kubewire.run("down", "foreign")
        kubewire.run("gc")
        assert name in docker("ps", "-a", "--format", "{{.Names}}")
    finally:
        docker("rm", name)


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[str]:
    """A node image whose kubeadm fails, so that kind fails half-way."""
    with built_on_node_image(
        "kubewire/test-node-broken:v1.37.2",
        "COPY kubeadm /usr/bin/kubeadm",
        kubeadm="#!/bin/sh\necho 'kubeadm: out of order' >&2\nexit 1\n",
    ) as tag:
        yield tag


def test_a_creation_that_fails_half_way_shows_kinds_log_and_is_removed_unless_kept(
    broken: str, tmp_path: Path, kubewire: Kubewire
) -> None:
    before = engine_picture()
    path = write_lab(tmp_path, "broken", nodeImage=broken, nodes={"workers": 0})
    outcome = kubewire.run("up", path)
    assert outcome.code == 4
    assert "kind could not create the cluster; the incomplete cluster is removed" in outcome.text
    assert "kubeadm: out of order" in outcome.text
    assert engine_picture() == before
    log = kubewire.state / "kubewire" / "logs" / "broken" / "kind.log"
    assert "failed to init node with kubeadm" in log.read_text()
    assert str(log) in outcome.text
    kept = kubewire.run("up", path, "--keep")
    assert kept.code == 4
    assert "the incomplete cluster is kept" in kept.text
    assert docker("ps", "--format", "{{.Names}}").split() == ["broken-control-plane"]
    kubewire.ok("down", path)
    assert engine_picture() == before
    assert kept_files(kubewire) == []
