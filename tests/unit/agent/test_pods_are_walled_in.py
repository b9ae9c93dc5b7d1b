"""A pod's process, really started: not root, no way up, nothing of the host but programs and libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

SCRIPT = r"""
import json, os, signal, sys, time
from pathlib import Path
from kubewire.netns.agent import namespaces, rootfs
from kubewire.netns.agent.process import Launch, Process

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
