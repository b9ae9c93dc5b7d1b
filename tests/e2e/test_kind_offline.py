"""After `prefetch` a lab on kind needs no network: held by an engine, and a command, that have none."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Kubewire
from on_kind import built_on_node_image, docker, write_lab

from kubewire.core.paths import cache_dir
from waiting import eventually

pytestmark = [
    pytest.mark.kind,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start an engine"),
]
BARE = "kubewire/test-node-without-tools:v1.37.2"
TOOLS = ("ipset", "ipvsadm")


@contextmanager
def cut_off_engine(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """An engine in a network namespace with nothing but a loopback: its address, and the way in there."""
    config, host, log = folder / "daemon.json", f"unix://{folder}/docker.sock", folder / "log"
    config.write_text(json.dumps(runtime_of_this_engine()))
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && exec sleep infinity"])
    own = Path(f"/proc/{holder.pid}/ns/net")
    eventually(lambda: own.readlink() != Path("/proc/self/ns/net").readlink(), "no namespace")
    inside = ("nsenter", f"--net={own}")
    places = (f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid")
    with log.open("w") as out:
        argv = [*inside, "dockerd", f"--config-file={config}", f"--host={host}", *places]
        daemon = subprocess.Popen(argv, stdout=out, stderr=out)
    try:
        eventually(lambda: "API listen on" in log.read_text(), f"see {log}")
        yield host, inside
    finally:
        daemon.terminate()
        daemon.wait(60)
        holder.kill()
        holder.wait()


def runtime_of_this_engine() -> dict[str, object]:
    """The default runtime of the engine under test, as a daemon's configuration."""
    info = json.loads(docker("info", "--format", "{{json .}}"))
    name = info["DefaultRuntime"]
    path = info["Runtimes"][name].get("path", "")
    return {"runtimes": {name: {"path": path}}, "default-runtime": name} if path.startswith("/") else {}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of the test's own that shares only the binaries."""
    own = tmp_path / "cache" / "kubewire"
    own.mkdir(parents=True)
    (own / "bin").symlink_to(cache_dir() / "bin")
    return own


def test_with_the_network_cut_off_after_prefetch_up_and_verify_work(tmp_path: Path, cache: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(cache.parent)}
    path = write_lab(tmp_path, "cut-off", nodeImage=BARE, nodes={"workers": 1}, tools=TOOLS)
    purge = f"RUN dpkg --purge {' '.join(TOOLS)} && ! command -v ipset"
    with built_on_node_image(BARE, purge), cut_off_engine(tmp_path) as (host, inside):
        fetched = Kubewire(tmp_path / "online", environment).ok("prefetch", path)
        assert "node tools: " in fetched.out
        for tool in TOOLS:
            assert list(cache.glob(f"packages/debian-bookworm-*/{tool}_*.deb"))
        carry = f"docker save {BARE} | docker --host {host} load"
        subprocess.run(["bash", "-o", "pipefail", "-c", carry], check=True, capture_output=True)
        command = Kubewire(tmp_path / "state", environment | {"DOCKER_HOST": host}, inside)
        try:
            up = command.ok("up", path, "--verify")
            assert "cut-off-worker: ipset installed" in up.text
            no_way = command.run(
                "exec", "cut-off", "worker", "--", "curl", "-sS", "-m", "5", "http://deb.debian.org"
            )
            assert no_way.code != 0
            assert "ipset v" in command.node("cut-off", "worker", "ipset", "--version")
            assert "changed=0" in command.ok("up", path).text
        finally:
            command.run("down", path)
        assert docker("--host", host, "ps", "-aq") == ""
