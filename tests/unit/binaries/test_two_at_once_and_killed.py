"""Several processes at once fetch once; a killed one leaves nothing that is taken for whole, and no lock."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moduleproxy import MAIN, ModuleProxy
from releasehost import ReleaseHost, body

from kubewire.binaries import store
from kubewire.binaries.catalog import Artifact
from kubewire.binaries.toolchain import architecture
from kubewire.binaries.workspace import leftovers, sweep
from kubewire.core.progress import emit
from waiting import DEADLINE, eventually

VERSION = "v1.37.2"
KUBERNETES = Artifact("kubernetes", VERSION)
SCRIPT = """
import os
import sys
from pathlib import Path
from kubewire.binaries import catalog, hashes, sums
hashes.LOCK = sums.SHIPPED = Path(os.devnull)
from kubewire.binaries.supply import ensure_kube_proxy
catalog.COSTS["kubernetes"] = catalog.Cost(1, 1, 1)
def say(step, detail="", done=None, total=None):
    print(f"{step}: {detail}", flush=True)
origin = catalog.Origins(kubernetes=sys.argv[1], github=sys.argv[1])
print(ensure_kube_proxy("v1.37.2", progress=say, origins=origin))
"""
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Fetch kube-proxy in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def begin(origin: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, origin]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def slow(release_host: ReleaseHost) -> ReleaseHost:
    release_host.publish_kubernetes(VERSION, size=1_000_000)
    release_host.chunk = 50_000
    release_host.seconds_per_chunk = 0.05
    return release_host


def test_two_at_once_fetch_once_and_the_second_says_who_has_it(
    slow: ReleaseHost, start: Start, nothing_to_build_with: None
) -> None:
    path = f"/release/{VERSION}/bin/linux/{architecture()}/kube-proxy"
    slow.seconds_per_chunk = 60
    first = start(slow.url)
    eventually(lambda: slow.times_asked(path) == 1)
    second = start(slow.url)
    assert second.stdout
    said = second.stdout.readline()
    slow.go_on.set()
    said_first, said_rest = (process.communicate(timeout=DEADLINE)[0] for process in (first, second))
    said_second = said + said_rest
    assert (first.returncode, second.returncode) == (0, 0), said_first + said_second
    assert slow.times_asked(path) == 1
    assert f"process {first.pid} (since" in said_second
    assert "download" not in said_second
    assert store.missing(KUBERNETES, ("kube-proxy",)) == ()


def test_a_killed_download_is_not_taken_for_whole_and_is_taken_up_by_the_next(
    slow: ReleaseHost, start: Start, cache: Path, nothing_to_build_with: None
) -> None:
    part = cache / "download" / f"{VERSION}-kube-proxy.part"
    first = start(slow.url)
    eventually(lambda: part.exists() and part.stat().st_size > 100_000)
    first.kill()
    first.wait()
    assert store.missing(KUBERNETES, ("kube-proxy",)) == ("kube-proxy",)
    had = part.stat().st_size
    slow.asked.clear()
    slow.seconds_per_chunk = 0
    second = start(slow.url)
    said, _ = second.communicate(timeout=DEADLINE)
    assert second.returncode == 0, said
    assert "waiting" not in said
    assert (f"/release/{VERSION}/bin/linux/{architecture()}/kube-proxy", f"bytes={had}-") in slow.asked
    assert store.path(KUBERNETES, "kube-proxy").read_bytes() == body(f"kube-proxy {VERSION}", 1_000_000)
    assert list((cache / "build").iterdir()) == [cache / "build" / ".lock"]


@pytest.mark.skipif(shutil.which("go") is None, reason="no go on PATH")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_process_and_no_caches(
    how: signal.Signals, start: Start, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = ModuleProxy(tmp_path / "modules")
    proxy.publish_kubernetes(VERSION, main='package main\n\nimport _ "net/http"\n' + MAIN.split("\n", 1)[1])
    monkeypatch.setenv("GOPROXY", proxy.url)
    monkeypatch.setenv("GOSUMDB", "off")
    process = start("https://127.0.0.1:9")
    assert process.stdout
    for line in process.stdout:
        if "compiling" in line:
            break
    (folder,) = (entry for entry in (cache / "build").iterdir() if entry.is_dir())
    assert using(folder)
    os.kill(process.pid, how)
    process.communicate(timeout=DEADLINE)
    eventually(lambda: not using(folder))
    if how == signal.SIGINT:
        assert not folder.exists()
    else:
        eventually(lambda: leftovers() == (folder,), "a process that has ended still holds the lock")
        assert sweep(emit) == (folder,)
    assert not folder.exists()
    assert not (cache / "bin").exists()


def using(folder: Path) -> list[str]:
    """The processes that name that folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


FULL = """
set -e
mount -t tmpfs -o size=1m none "$1"
export XDG_CACHE_HOME="$1"
exec "$2" -c "$3" "$4"
"""


@pytest.mark.parametrize("announced", [True, False])
def test_a_full_disk_is_told_and_leaves_no_binary(
    announced: bool, slow: ReleaseHost, tmp_path: Path, nothing_to_build_with: None
) -> None:
    unshare = next((p for p in ("/usr/bin/unshare", "/bin/unshare") if Path(p).exists()), "")
    private = [unshare, "-m"] if os.geteuid() == 0 else [unshare, "-Urm"]
    if not unshare or subprocess.run([*private, "/bin/true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespace to be had")
    slow.seconds_per_chunk = 0
    slow.without_length = not announced
    slow.publish_kubernetes(VERSION, size=3_000_000)
    target = tmp_path / "small"
    target.mkdir()
    script = ["/bin/sh", "-c", FULL, "sh", str(target), sys.executable, SCRIPT, slow.url]
    answer = subprocess.run(
        [*private, *script],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
    )
    assert answer.returncode != 0
    assert "HostError" in answer.stderr
    said = "needs 3 MiB of free disk, and there is 1 MiB" if announced else "No space left on device"
    assert said in answer.stderr, answer.stderr
    assert "XDG_CACHE_HOME" in answer.stderr
