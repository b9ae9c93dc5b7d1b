"""Real nightlies: one wrong kube-proxy is the one red cell, one broken control plane the one error."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from harness import Kubewire

from kubewire.binaries.supply import ensure
from kubewire.core import paths

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MATRIX = """\
versions: [1.37, 1.36.3]
modes: [iptables, nftables]
labs: [nodeport]
controlPlane: same
exclude: ["mode=iptables,kubernetes=1.36"]
"""
SWAPPED = """\
#!/bin/sh
PATH={tools}:$PATH exec {real} "$@"
"""
RESTORE = """\
#!/bin/sh
sed 's/--or-mark 0x0*4000/--or-mark 0x8000/' | exec {real} "$@"
"""
FORGETS = """\
#!/bin/sh
[ "$1" != --version ] && mkdir {tools}/{once} 2>/dev/null && PATH={tools}:$PATH
exec {{real}} "$@"
"""
NFT = """\
#!/bin/sh
case " $* " in *" -f "*) sed '/Drop traffic to unallocated ClusterIPs/d' | exec {real} "$@" ;; esac
exec {real} "$@"
"""
BROKEN = """\
#!/bin/sh
echo 'this control plane is made to fail' >&2
exit 1
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of the test's own, linked to the user's: 1.37.2, and as 1.36.3 the same binaries."""
    real, own = paths.cache_dir() / "bin", tmp_path / "cache" / "kubewire" / "bin"
    version = ensure("1.37").version
    for folder in (*real.glob("etcd-*"), *real.glob("cni-*"), real / version):
        shutil.copytree(folder, own / folder.name, copy_function=link)
    shutil.copytree(own / version, own / "v1.36.3", copy_function=link)
    return own


def link(source: str, target: str) -> str:
    """A hard link where that is possible; the manifest is a file of its own."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    if source.endswith("manifest.json"):
        Path(target).unlink()
        shutil.copy2(source, target)
    return target


def replace(folder: Path, binary: str, script: str) -> Path:
    """Put a script in a binary's place, which the manifest then vouches for; where the real one is now."""
    real = folder.parent.parent / "real" / f"{folder.name}-{binary}" / binary
    real.parent.mkdir(parents=True)
    (folder / binary).rename(real)
    text = script.format(real=real, tools=real.parent)
    (folder / binary).write_text(text)
    (folder / binary).chmod(0o755)
    stat = (folder / binary).stat()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][binary] |= {
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return real


def living(folder: Path) -> list[str]:
    """The commands that name this folder: keepers, cells, what runs from a cache in it."""
    commands = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            commands.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [command for command in commands if str(folder) in command]


def results(folder: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return run


def lasting(node: Any) -> Any:
    """A result without its times and without what chance gives: pods' names and addresses, which one asks,
    how many requests went where, and the order that follows from all that.
    """
    if isinstance(node, list):
        return sorted((lasting(each) for each in node), key=lambda each: json.dumps(each, sort_keys=True))
    if not isinstance(node, dict):
        return node
    left_out = {"started", "finished", "seconds", "reason", "object", "expected", "observed"}
    if str(node.get("id")).startswith("traffic."):
        left_out.add("node")
    return {key: lasting(value) for key, value in node.items() if key not in left_out}


def test_one_wrong_kube_proxy_and_one_broken_control_plane(
    kubewire: Kubewire, cache: Path, tmp_path: Path
) -> None:
    """kube-proxy is patched by its iptables-restore, which sets another mark: only mode iptables has it."""
    tools = replace(cache / "v1.37.2", "kube-proxy", SWAPPED).parent
    restore = tools / "iptables-restore"
    restore.write_text(RESTORE.format(real=shutil.which("iptables-restore")))
    restore.chmod(0o755)
    replace(cache / "v1.36.3", "kube-apiserver", BROKEN)
    kubewire.environment["XDG_CACHE_HOME"] = str(cache.parents[1])
    (tmp_path / "m.yml").write_text(MATRIX)
    outcome = kubewire.run("matrix", str(tmp_path / "m.yml"), "--output", str(tmp_path / "run"))
    assert outcome.code == 1, outcome.text
    assert living(tmp_path) == []
    run = results(tmp_path / "run")
    assert {cell["id"]: cell["status"] for cell in run["cells"]} == {
        "nodeport-iptables-netns-v1.37.2": "failed",
        "nodeport-nftables-netns-v1.37.2": "passed",
        "nodeport-nftables-netns-v1.36.3": "error",
    }
    red, _, broken = run["cells"]
    assert "this control plane is made to fail" in broken["reason"]
    marks = [
        check
        for check in red["checks"]
        if check["id"] == "iptables.mark-masq" and check["status"] == "failed"
    ]
    assert len(marks) == 3
    assert "0x4000" in marks[0]["expected"]
    assert "0x8000" in marks[0]["observed"]
    for report in ("junit.xml", "summary.md"):
        assert "KUBE-MARK-MASQ" in (tmp_path / "run" / report).read_text()


@pytest.mark.parametrize(
    ("which", "status"), [("started", "passed"), ("$$", "failed")], ids=["at its first start", "always"]
)
def test_a_rule_for_the_service_cidrs_that_comes_with_a_fresh_start(
    kubewire: Kubewire, cache: Path, tmp_path: Path, which: str, status: str
) -> None:
    """The race can't be had at will: kube-proxy's nft leaves the rule out, in the first run or in every."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "nft").write_text(NFT.format(real=shutil.which("nft")))
    (tools / "nft").chmod(0o755)
    replace(cache / "v1.37.2", "kube-proxy", FORGETS.format(tools=tools, once=which))
    kubewire.environment["XDG_CACHE_HOME"] = str(cache.parents[1])
    (tmp_path / "m.yml").write_text("versions: [1.37]\nmodes: [nftables]\nlabs: [no-endpoints]\n")
    kubewire.run("matrix", str(tmp_path / "m.yml"), "--output", str(tmp_path / "run"))
    (cell,) = results(tmp_path / "run")["cells"]
    assert cell["status"] == status, cell
    again = [note for note in cell["notes"] if note.endswith("the ServiceCIDRs: started again")]
    assert len(again) == (1 if status == "passed" else 3)


def test_killed_in_the_middle_it_is_resumed(kubewire: Kubewire, tmp_path: Path) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    call = ("matrix", "--only", "kubernetes=1.37,mode!=ipvs", "--jobs", "1", "--output")
    process = kubewire.popen(*call, str(folder))
    assert process.stderr is not None
    said = [line for line in iter(process.stderr.readline, "") if line.startswith("passed")][:1]
    assert said, "the first cell was to pass"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.communicate()
    assert kubewire.run("matrix", "--resume", "--output", str(folder)).code == 0
    assert living(tmp_path) == []
    assert not list(folder.glob("cells/*/state"))
    kubewire.ok(*call, str(whole))
    assert lasting(results(folder)) == lasting(results(whole))
    assert results(folder)["partial"] is False
