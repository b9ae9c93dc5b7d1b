"""The table of stand-ins: what runs for an image, and a refusal that helps for any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubewire.providers.netns.agent.images import UnsupportedImageError, program, python_runtime, repository


def run(image: str, **more: Any) -> Any:
    return program({"name": "c", "image": image, **more}, ipv6=False, rootful=True, coredns=None)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("kennethreitz/httpbin", "kennethreitz/httpbin"),
        ("docker.io/kennethreitz/httpbin:latest", "kennethreitz/httpbin"),
        ("docker.io/kong/httpbin@sha256:abc", "kong/httpbin"),
        ("registry.k8s.io/coredns/coredns:v1.12.0", "registry.k8s.io/coredns/coredns"),
        ("localhost:5000/httpbin", "localhost:5000/httpbin"),
        ("localhost:5000/httpbin:1", "localhost:5000/httpbin"),
    ],
)
def test_repository(image: str, name: str) -> None:
    assert repository(image) == name


def test_httpbin_listens_where_the_container_says() -> None:
    assert run("kennethreitz/httpbin").ports == (80,)
    assert run("kennethreitz/httpbin", ports=[{"containerPort": 8080}]).ports == (8080,)
    command = ["gunicorn", "-b", "[::]:9000", "httpbin:app", "-k", "gevent"]
    assert run("docker.io/kong/httpbin", command=command).ports == (9000,)


def test_httpbin_binds_both_families_only_where_there_are_two() -> None:
    container = {"name": "c", "image": "kennethreitz/httpbin"}
    assert "0.0.0.0:80" in program(container, ipv6=False, rootful=True, coredns=None).argv
    assert "[::]:80" in program(container, ipv6=True, rootful=True, coredns=None).argv


def test_any_other_image_names_the_table_and_the_way_out() -> None:
    with pytest.raises(UnsupportedImageError) as refusal:
        run("nginx:1.27")
    for part in ("nginx:1.27", "kennethreitz/httpbin", "coredns", "pause", "--provider kind"):
        assert part in str(refusal.value)


def test_the_image_has_python_for_a_script() -> None:
    """As the image on kind, so that a lab's manifest can bring a small server or client of its own."""
    found = run("docker.io/kubewire/httpbin:1", command=["python3", "-c"], args=["print()"])
    assert found.argv[1:] == ("-c", "print()")
    assert found.ports == ()


def test_a_command_that_is_not_gunicorn_is_never_pretended() -> None:
    with pytest.raises(UnsupportedImageError, match="sleep infinity"):
        run("kennethreitz/httpbin", command=["sleep"], args=["infinity"])


def test_coredns_needs_its_binary(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedImageError, match="dns: true"):
        run("registry.k8s.io/coredns/coredns:v1.12.0")
    binary = tmp_path / "coredns"
    binary.touch()
    container = {
        "name": "coredns",
        "image": "registry.k8s.io/coredns/coredns",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}],
    }
    found = program(container, ipv6=False, rootful=True, coredns=binary)
    assert found.argv == (str(binary), "-conf", "/etc/coredns/Corefile")
    assert (found.paths, found.ports) == ((binary,), (53,))


def test_files_that_pods_can_not_read_are_told_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "python3"
    private.touch(mode=0o700)
    monkeypatch.setattr("sys.executable", str(private))
    with pytest.raises(UnsupportedImageError, match="umask 022"):
        python_runtime(for_others=True)
    assert python_runtime(for_others=False).argv == (str(private),)
