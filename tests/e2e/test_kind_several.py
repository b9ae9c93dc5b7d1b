"""Three labs on kind at once, each of another shape: none treads on another, and each goes whole."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import Kubewire
from on_kind import (
    built_on_node_image,
    docker,
    embedded_ids,
    engine_picture,
    ids_of_own_services,
    kept_files,
    write_lab,
)

from kubewire.lab.workload import IMAGE
from waiting import DEADLINE

pytestmark = [pytest.mark.kind, pytest.mark.slow]
OWN_IMAGE = "example.test/httpbin:own"
BARE = "kubewire/test-node-without-httpbin:v1.37.2"


@dataclass(frozen=True)
class Three:
    """The labs by what is told of them: a name in labs/, or a file."""

    kubewire: Kubewire
    own: str

    @property
    def labs(self) -> tuple[str, ...]:
        return ("nodeport", "no-endpoints", self.own)

    def options(self, lab: str) -> tuple[str, ...]:
        """Two nodes each; the file says so itself."""
        return () if lab == self.own else ("--set", "nodes.workers=1")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    """NodePort; no endpoints; an httpbin image of the engine's own on nodes that bring none along."""
    before = engine_picture()
    docker("tag", IMAGE, OWN_IMAGE)
    command = Kubewire(tmp_path_factory.mktemp("state"))
    with built_on_node_image(BARE, 'LABEL io.kubewire.httpbin=""'):
        own = write_lab(
            tmp_path_factory.mktemp("labs"),
            "own-image",
            "nftables",
            nodes={"workers": 1},
            nodeImage=BARE,
            httpbin={"image": OWN_IMAGE, "replicas": 2},
        )
        three = Three(command, own)
        makers = [command.popen("up", lab, "--provider", "kind", *three.options(lab)) for lab in three.labs]
        told = [maker.communicate(timeout=3 * DEADLINE) for maker in makers]
        assert [maker.returncode for maker in makers] == [0, 0, 0], "\n".join(err for _, err in told)
        yield three
        with ThreadPoolExecutor() as pool:
            for outcome in pool.map(lambda lab: command.run("down", lab), three.labs):
                assert outcome.code == 0, outcome.text
    docker("rmi", OWN_IMAGE)
    assert engine_picture() == before
    assert kept_files(command) == []


@pytest.mark.parametrize("lab", ["nodeport", "no-endpoints"])
def test_they_verify_as_on_the_embedded_provider(
    three: Three, lab: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code, report = three.kubewire.report(lab)
    failed = [check for check in report["checks"] if check["status"] == "failed"]
    assert code == 0, "\n".join(map(str, failed))
    assert len(report["nodes"]) == 2
    assert ids_of_own_services(report) == embedded_ids(tmp_path_factory.mktemp("embedded"), lab)


def test_an_image_that_only_the_engine_has_is_brought_into_the_nodes(three: Three) -> None:
    three.kubewire.ok("verify", three.own)
    images = docker("exec", "own-image-worker", "ctr", "-n", "k8s.io", "images", "list", "-q")
    assert OWN_IMAGE in images.split()


def test_each_is_listed_and_changes_nothing_of_the_others(three: Three) -> None:
    listed = three.kubewire.ok("list").out
    assert listed.count("ready") == 3
    for lab in three.labs:
        assert "changed=0" in three.kubewire.ok("up", lab, *three.options(lab)).text


def test_a_removed_node_is_named_and_asks_for_a_fresh_lab(three: Three, tmp_path: Path) -> None:
    docker("rm", "-f", "-v", "own-image-worker")
    assert "own-image-worker is gone" in three.kubewire.run("status", "own-image").text
    found = three.kubewire.run("verify", "own-image")
    assert found.code in (1, 4)
    assert "own-image-worker" in found.text
    mended = three.kubewire.run("up", three.own)
    assert mended.code == 4
    assert "own-image-worker was removed" in mended.text
    assert "--recreate" in mended.text
    three.kubewire.ok("verify", "nodeport")
