"""A pod's process, really started: not root, no way up, nothing of the host but programs and libraries."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

SCRIPT = r"""
import json, os, signal, sys, time
from pathlib import Path
from kubewire.providers.netns.agent import namespaces, rootfs
from kubewire.providers.netns.agent.process import Launch, Process

rootful = sys.argv[1] == "1"
work = Path("/run/kubewire/agent")
netns = namespaces.create("cni-x", {"ipv4/ip_unprivileged_port_start": "0"})
namespaces.take_hostname("web-0")
odd = work / "a b#c"
odd.mkdir(parents=True)
(work / "secret").write_text("s")
(odd / "f").write_text("volume")

def start(name, argv, **environment):
    root = work / "pods" / name / "root"
    root.mkdir(parents=True)
    etc = rootfs.etc_files(hostname="web-0", uid=100007, ips=["10.244.1.2"], nameserver="10.96.0.10",
                           namespace="shop")
    mounts = rootfs.build(root, etc, [rootfs.Mount(odd, "/data/a b#c")])
    environment["PATH"] = "/usr/bin:/bin"
    return Process(Launch(argv=argv, environment=environment, netns=netns, root=root, uid=100007,
                          mounts=tuple(mounts), log=work / f"{name}.log", rootful=rootful))

def wait(process, seconds=300):
    end = time.monotonic() + seconds
    while process.exit_code() is None and time.monotonic() < end:
        time.sleep(0.01)
    return process.exit_code()

look = '''
id -u; id -g; hostname; echo $$; grep NoNewPrivs /proc/self/status; grep CapEff /proc/self/status
cat "/data/a b#c/f"; echo; ls -a /run | wc -l; ls /root 2>/dev/null | wc -l
tr '\\n' ' ' < /etc/resolv.conf; echo
touch /usr/x 2>/dev/null && echo wrote; mount -t tmpfs t /tmp 2>/dev/null && echo mounted
echo "$ODD"; ls /proc | grep -c '^[0-9]'; echo end
'''
first = start("look", ("/bin/sh", "-c", look), ODD="a b;$(id)")
code = wait(first)
sleeper = start("sleeper", ("/bin/sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done"))
while not sleeper.pid: time.sleep(0.01)
pid = sleeper.pid
time.sleep(0.2)
sleeper.terminate()
asked = wait(sleeper)
stubborn = start("stubborn", ("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"))
while not stubborn.pid: time.sleep(0.01)
stubborn.kill()
missing = start("missing", ("/no/such/program",))
print(json.dumps({"code": code, "lines": (work / "look.log").read_text().splitlines(), "asked": asked,
                  "killed": stubborn.exit_code(), "missing": wait(missing),
                  "missing_log": (work / "missing.log").read_text(),
                  "left": [p for p in os.listdir("/proc") if p.isdigit() and int(p) == pid]}))
"""


@pytest.mark.parametrize("rootful", [True, False], ids=["root's lab", "user's lab"])
def test_a_pod_has_no_more_than_it_needs(inside_sandbox: Callable[..., Any], rootful: bool) -> None:
    found: dict[str, Any] = inside_sandbox(SCRIPT, rootful=rootful)
    assert found["lines"] == [
        "100007",
        "100007",
        "web-0",
        "1",
        "NoNewPrivs:\t1",
        "CapEff:\t0000000000000000",
        "volume",
        "2",
        "0",
        "search shop.svc.cluster.local svc.cluster.local cluster.local "
        "nameserver 10.96.0.10 options ndots:5 ",
        "a b;$(id)",
        found["lines"][11],
        "end",
    ]
    assert int(found["lines"][11]) <= 5, "a pod sees its own processes only"
    assert found["code"] == 0
    assert found["asked"] == 7, "SIGTERM reaches the container's own process"
    assert found["killed"] == 137
    assert found["left"] == []
    assert found["missing"] == 127
    assert "/no/such/program" in found["missing_log"]


ATTACKS = r"""
import json, os, shutil, signal, sys, time
from pathlib import Path
from kubewire.providers.netns.agent import namespaces, rootfs
from kubewire.providers.netns.agent.process import Launch, Process
from kubewire.providers.netns.agent.rootfs import Mount

rootful = sys.argv[1] == "1"
work = Path("/run/kubewire/agent")
netns = namespaces.create("cni-x", {"ipv4/ip_unprivileged_port_start": "0"})
outside = Path("/run/outside")
outside.mkdir()
volume, second = work / "volume", work / "second"
for folder in (volume, second):
    folder.mkdir(parents=True)
    folder.chmod(0o1777)
(volume / "link").symlink_to("/run/outside")
(volume / "up").symlink_to("../..")
(volume / "file").symlink_to("/etc/passwd")
(volume / "real").mkdir()
shutil.copy(os.path.realpath("/usr/bin/id"), volume / "id")
(volume / "id").chmod(0o4755)
(second / "mine").write_text("second")

def start(name, argv, *mounts, workdir="/", processes=0, **environment):
    root = work / "pods" / name / "root"
    root.mkdir(parents=True)
    etc = rootfs.etc_files(hostname="web-0", uid=100007, ips=["10.244.1.2"], nameserver=None,
                           namespace="shop")
    environment["PATH"] = "/usr/bin:/bin"
    return Process(Launch(argv=argv, environment=environment, netns=netns, root=root, uid=100007,
                          mounts=tuple(rootfs.build(root, etc, mounts)), log=work / f"{name}.log",
                          rootful=rootful, workdir=workdir, processes=processes))

def run(name, script, *mounts, **options):
    process = start(name, ("/bin/sh", "-c", script), *mounts, **options)
    end = time.monotonic() + 60
    while process.exit_code() is None and time.monotonic() < end:
        time.sleep(0.01)
    return [process.exit_code(), (work / f"{name}.log").read_text(), process.complaint()]

data = Mount(volume, "/data", writable=True)
found = {
    "through": run("through", "true", data, Mount(second, "/data/link/x", writable=True)),
    "onto": run("onto", "true", data, Mount(second, "/data/up", writable=True)),
    "below": run("below", "true", Mount(volume, "/m", writable=True, below="link/new")),
    "file": run("file", "cat /m", Mount(volume, "/m", below="file")),
    "dots": run("dots", "true", Mount(volume, "/m", below="real/../../..")),
    "root": run("root", "true", Mount(second, "/")),
    "nested": run("nested", "cat /data/real/mine", data, Mount(second, "/data/real")),
    "made": run("made", "touch /m/g", Mount(volume, "/m", writable=True, below="new/deep")),
    "account": run("account", "cat /run/secrets/x/mine", Mount(second, "/var/run/secrets/x")),
    "merged": os.path.islink("/sbin") and run("merged", "cat /usr/sbin/mine", Mount(second, "/sbin")),
    "descriptors": run("descriptors", "ls /proc/self/fd | wc -l"),
    "suid": run("suid", "/data/id -u", data),
    "flags": run("flags", "cat /proc/self/mountinfo", data),
    "outside": sorted(os.listdir(outside)),
}
for number in range(3, 24):
    found.setdefault("workdirs", []).append(run(f"fd{number}", "pwd", workdir=f"/proc/self/fd/{number}")[0])
fork = "i=0; while [ $i -lt 60 ]; do sleep 1000 & i=$((i+1)); done; echo unbounded"
found["bomb"] = run("bomb", fork, processes=20)
sleeper = start("sleeper", ("/bin/sleep", "1000"), SECRET="hunt" + "er2")
while not sleeper.pid or b"sleep" not in Path(f"/proc/{sleeper.pid}/cmdline").read_bytes(): time.sleep(0.01)
lines = [entry.read_bytes() for entry in Path("/proc").glob("[0-9]*/cmdline")]
found["argv"] = [line.decode(errors="replace") for line in lines if b"hunt" + b"er2" in line]
found["environment"] = b"hunt" + b"er2" in Path(f"/proc/{sleeper.pid}/environ").read_bytes()
status = Path(f"/proc/{sleeper.pid}/status").read_text().splitlines()
found["sets"] = [line.split()[1] for line in status if line.startswith("Cap")]
found["groups"] = next(line.split()[1:] for line in status if line.startswith("Groups"))
sleeper.kill()
print(json.dumps(found))
"""


@pytest.mark.parametrize("rootful", [True, False], ids=["root's lab", "user's lab"])
def test_nothing_of_a_volume_is_followed_or_gives_rights(
    inside_sandbox: Callable[..., Any], rootful: bool
) -> None:
    found: dict[str, Any] = inside_sandbox(ATTACKS, rootful=rootful)
    for attack, link in (("through", "link"), ("onto", "up"), ("below", "link"), ("file", "file")):
        code, said, complaint = found[attack]
        assert code == 125, attack
        assert f"leads through the symbolic link '{link}'" in complaint, attack
        assert complaint in said, "the pod's log says it, too"
    assert "leads out" in found["dots"][2]
    assert "can't be mounted on" in found["root"][2]
    assert found["outside"] == []
    assert found["nested"][:2] == [0, "second"]
    assert found["made"][0] == 0
    assert found["account"][:2] == [0, "second"]
    assert not found["merged"] or found["merged"][:2] == [0, "second"]
    assert found["descriptors"][1].split() == ["4"], "0, 1, 2 and that of ls itself"
    assert set(found["workdirs"]) <= {126, 127}, "no descriptor leads out of the pod's root"
    assert found["suid"][:2] == [0, "100007\n"]
    for line in found["flags"][1].splitlines():
        place, options = line.split()[4], line.split()[5].split(",")
        assert "nosuid" in options, line
        assert "nodev" in options or place.startswith("/dev/"), line
    if rootful or os.geteuid() != 0:  # root, renamed or not, is never limited by number
        assert found["bomb"][0] != 0 and "unbounded" not in found["bomb"][1]
    assert found["argv"] == []
    assert found["environment"]
    assert set(found["sets"]) == {"0000000000000000"}
    if rootful:
        assert found["groups"] == []
