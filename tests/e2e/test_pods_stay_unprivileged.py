"""What a pod brings along, tried as an attack through the live API: volumes, links, Secrets, greed.

The code of each pod is a gunicorn configuration in a ConfigMap: the real httpbin loads it, as the pod.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Kubewire

from kubewire.core.paths import cache_dir

pytestmark = pytest.mark.e2e
LAB = "iptables"
NODE = "iptables-worker"
SECRET = "correct-horse-battery-staple"
PODS = "/run/kubewire/agent/pods"
DEADLINE = 180

ON_PATH = r"""
import os, json
if not os.path.exists("/usr/local/sbin/record"):
    open("/usr/local/sbin/record", "w").close()
    os.chmod("/usr/local/sbin/record", 0o666)
    for name in ("umount", "mount", "setpriv", "unshare", "env", "sh", "python3"):
        path = "/usr/local/sbin/" + name
        with open(path, "w") as file:
            file.write("#!/bin/sh\n{ /usr/bin/id -u; /bin/grep CapEff /proc/self/status; }"
                       " >> /usr/local/sbin/record\nexec /usr/bin/%s \"$@\"\n" % name)
        os.chmod(path, 0o755)
    os._exit(3)
print("RECORD " + json.dumps(open("/usr/local/sbin/record").read().split("\n")), flush=True)
"""
PLANT = r"""
printf '#!/bin/sh\n{ id -u; grep CapEff /proc/self/status; } >> /usr/sbin/record\n' > tools/pivot_root
chmod 755 tools/pivot_root
rm -rf data/sub
ln -s /usr/sbin data/sub
"""
LIMITS = r"""
import json, os, signal, subprocess, time
found = {"secret": os.environ["PASSWORD"], "uid": os.getuid()}
with open("/proc/self/mountinfo") as file:
    lines = [line.split() for line in file]
found["mounts"] = {fields[4]: fields[5].split(",") for fields in lines}
while not os.path.exists("/data/suid/id"):
    time.sleep(0.1)
found["suid"] = subprocess.run(["/data/suid/id", "-u"], capture_output=True, text=True).stdout.strip()
children = []
try:
    for _ in range(900):
        children.append(os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}))
    found["forks"] = None
except OSError as error:
    found["forks"] = error.strerror
for child in children:
    os.kill(child, signal.SIGKILL)
for child in children:
    os.waitpid(child, 0)
child = os.fork()
if not child:
    held = bytearray(b"x") * (400 << 20)
    os._exit(0)
found["hungry"] = os.WTERMSIG(os.waitpid(child, 0)[1])
print("FOUND " + json.dumps(found), flush=True)
"""

DEEP = r"""
import os
os.chdir("/data")
for _ in range(3000):
    os.mkdir("d")
    os.chdir("d")
print("DEEP true", flush=True)
"""


def pod(name: str, code: str, *mounts: dict[str, Any], **container: Any) -> list[dict[str, Any]]:
    """A pod that runs `code`, with an emptyDir for each name that `mounts` use."""
    conf = {"name": "code", "mountPath": "/conf", "readOnly": True}
    volumes = [{"name": each, "emptyDir": {}} for each in dict.fromkeys(m["name"] for m in mounts)]
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"code.py": code},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "nodeName": NODE,
                "containers": [
                    {
                        "name": "httpbin",
                        "image": "kennethreitz/httpbin",
                        "volumeMounts": [conf, *mounts],
                        **container,
                        "env": [
                            {"name": "GUNICORN_CMD_ARGS", "value": "--config=/conf/code.py"},
                            *container.get("env", ()),
                        ],
                    }
                ],
                "volumes": [{"name": "code", "configMap": {"name": name}}, *volumes],
            },
        },
    ]


def kubectl(lab: Kubewire, *argv: str, data: str = "") -> str:
    binary = sorted(cache_dir().glob("bin/v*/kubectl"))[-1]
    config = lab.ok("kubeconfig", LAB).out.strip()
    done = subprocess.run(
        [binary, "--kubeconfig", config, *argv],
        input=data,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.stdout if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def attacked(lab: Kubewire) -> Iterator[Kubewire]:
    """The lab with the three pods that attack it."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "password"},
        "stringData": {"password": SECRET},
    }
    reference = {"secretKeyRef": {"name": "password", "key": "password"}}
    items = [
        secret,
        *pod("path", ON_PATH, {"name": "bin", "mountPath": "/usr/local/sbin"}),
        *pod(
            "link",
            "",
            {"name": "data", "mountPath": "/data"},
            {"name": "tools", "mountPath": "/data/sub"},
        ),
        *pod(
            "limits",
            LIMITS,
            {"name": "data", "mountPath": "/data"},
            env=[{"name": "PASSWORD", "valueFrom": reference}],
            resources={"limits": {"memory": "256Mi"}},
        ),
        *pod("deep", DEEP, {"name": "data", "mountPath": "/data"}),
    ]
    answer = kubectl(
        lab, "apply", "-f", "-", data=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    )
    assert "pod/limits created" in answer
    yield lab


def within(what: str, look: Any) -> Any:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    pytest.fail(f"not within {DEADLINE} s: {what}")


def said(lab: Kubewire, name: str, word: str) -> Any:
    """What the pod's code has printed after `word`."""

    def look() -> str | None:
        match = re.search(rf"^{word} (.*)$", kubectl(lab, "logs", name), re.M)
        return match[1] if match else None

    return json.loads(within(f"{word} in the log of {name}", look))


def volumes(lab: Kubewire, name: str) -> str:
    """Where the pod's volumes lie on its node, for what only root could put there."""
    uid = within(f"pod {name}", lambda: kubectl(lab, "get", "pod", name, "-o", "jsonpath={.metadata.uid}"))
    folder = f"{PODS}/{uid}/volumes"
    within(folder, lambda: lab.run("exec", LAB, NODE, "--", "test", "-d", f"{folder}/data").code == 0)
    return folder


def test_no_program_of_a_volume_runs_with_more_rights_than_the_pod(attacked: Kubewire) -> None:
    assert said(attacked, "path", "RECORD") == [""], "run as root between the mounts and the pod's program"


def test_no_link_in_a_volume_is_followed(attacked: Kubewire) -> None:
    folder = volumes(attacked, "link")
    attacked.node(LAB, NODE, "sh", "-euc", f"cd {folder}; {PLANT}")
    pid = json.loads(attacked.node(LAB, NODE, "cat", "/run/kubewire/agent/pods.json"))["default/link"]["pid"]
    if pid:
        attacked.run("exec", LAB, NODE, "--", "kill", "-KILL", str(pid))
    path = "jsonpath={.status.containerStatuses[0].lastState.terminated.message}"

    def outcome() -> str:
        message = kubectl(attacked, "get", "pod", "link", "-o", path)
        if "symbolic link" in message:
            return message
        return attacked.run("exec", LAB, NODE, "--", "cat", f"{folder}/tools/record").out

    assert "leads through the symbolic link 'sub'" in within("an end of the pod", outcome)


def test_a_set_user_id_file_gives_nothing_and_volumes_hold_no_devices(attacked: Kubewire) -> None:
    folder = volumes(attacked, "limits")
    plant = "mkdir suid.new && cp -L /usr/bin/id suid.new/id && chmod 4755 suid.new/id && mv suid.new suid"
    attacked.node(LAB, NODE, "sh", "-euc", f"cd {folder}/data; {plant}")
    found = said(attacked, "limits", "FOUND")
    assert found["suid"] == str(found["uid"]) != "0"
    for place, options in found["mounts"].items():
        assert "nosuid" in options, place
        assert "nodev" in options or place.startswith("/dev/"), place


def test_a_fork_bomb_and_a_hungry_pod_end_at_their_limits(attacked: Kubewire) -> None:
    found = said(attacked, "limits", "FOUND")
    assert found["forks"] == "Resource temporarily unavailable"
    if "memory is not limited" in attacked.ok("status", LAB).out:
        pytest.skip("this machine has no control groups for the memory of pods")
    assert found["hungry"] == 9


def test_no_other_user_reads_a_secret_of_a_pods_environment(attacked: Kubewire) -> None:
    assert said(attacked, "limits", "FOUND")["secret"] == SECRET
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    script = "for each in /proc/[0-9]*; do tr '\\0' ' ' < $each/cmdline; tr '\\0' ' ' < $each/environ; done"
    seen = subprocess.run(
        [*as_nobody, "sh", "-c", f"({script}) 2>/dev/null; true"],
        capture_output=True,
        check=True,
        timeout=300,
    ).stdout
    assert b"gunicorn" in seen
    assert SECRET.encode() not in seen


def test_idle_connections_do_not_keep_the_control_socket(attacked: Kubewire) -> None:
    path = next(Path(attacked.state).rglob("control.sock"))
    assert path.stat().st_mode & 0o777 == 0o600
    init = json.loads((path.parent / "sandbox.json").read_text())["init"]["pid"]
    agents = Path(f"/proc/{init}/root/run/kubewire/agent/control.sock")
    idle = []
    try:
        for each in (path, agents):
            assert each.stat().st_mode & 0o777 == 0o600
            for _ in range(100):
                connection = socket.socket(socket.AF_UNIX)
                connection.settimeout(60)
                idle.append(connection)
                connection.connect(f"/proc/self/fd/{_folder(each)}/{each.name}")
        assert "phase" in attacked.ok("status", LAB).out
        assert attacked.node(LAB, NODE, "echo", "hello") == "hello\n"
        attacked.node(LAB, NODE, "ip", "route", "del", _pod_route(attacked))
        assert NODE in attacked.ok("up", LAB).text
    finally:
        for connection in idle:
            connection.close()


def test_a_deleted_pods_control_groups_go_with_it(attacked: Kubewire) -> None:
    record = json.loads(next(Path(attacked.state).rglob("sandbox.json")).read_text())
    uid = within("its uid", lambda: kubectl(attacked, "get", "pod", "path", "-o", "jsonpath={.metadata.uid}"))
    groups = [Path(folder, uid) for folder in record["cgroups"]]
    if not groups:
        pytest.skip("no writable control group here")
    within("its groups", lambda: all(group.is_dir() for group in groups))
    kubectl(attacked, "delete", "pod", "path", "--wait=false")
    within("the end of its groups", lambda: not any(group.exists() for group in groups))


def test_a_pod_that_nested_its_folders_deeply_can_be_deleted(attacked: Kubewire) -> None:
    assert said(attacked, "deep", "DEEP")
    folder = volumes(attacked, "deep").removesuffix("/volumes")
    kubectl(attacked, "delete", "pod", "deep", "--wait=false")
    within(
        "the end of its folder",
        lambda: attacked.run("exec", LAB, NODE, "--", "test", "-e", folder).code == 1,
    )
    within("its end", lambda: "deep" not in kubectl(attacked, "get", "pods", "-o", "name"))


def _folder(path: Path) -> int:
    return os.open(path.parent, os.O_PATH | os.O_DIRECTORY)


def _pod_route(lab: Kubewire) -> str:
    routes = lab.node(LAB, NODE, "ip", "-4", "route").splitlines()
    return next(line for line in routes if " dev veth" in line and "via" not in line).split()[0]
