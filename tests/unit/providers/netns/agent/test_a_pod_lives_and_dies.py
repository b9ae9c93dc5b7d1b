"""One pod worker with real processes, in its node's network, against an API that only keeps notes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

SCRIPT = r"""
import json, os, signal, sys, threading, time
from pathlib import Path
from kubewire.cluster.api import ApiError
from kubewire.providers.netns.agent import namespaces
from kubewire.providers.netns.agent_config import Config, Node
from kubewire.providers.netns.agent.context import Machine
from kubewire.providers.netns.agent.pod import PodWorker

class Api:
    def __init__(self): self.statuses, self.events, self.deleted = [], [], []
    def get(self, path, **_): return {"spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 443}]}}
    def find(self, path): return None
    def patch(self, path, body, **_): self.statuses.append(body["status"])
    def post(self, path, body): self.events.append((body["reason"], body["message"]))
    def delete(self, path, body): self.deleted.append((path, body["gracePeriodSeconds"]))

netns = namespaces.create("n1", {"ipv4/ip_unprivileged_port_start": "0"})
node = Node("n1", "worker", ("127.0.0.1",), netns)
config = Config(Path("/k"), (node,), ("10.244.0.0/16",), Path("/cni"), Path("/run/agent"), "v1.37.2",
                rootful=sys.argv[1] == "1")
api = Api()
machine = Machine(config, api)
machine.cidrs["n1"] = ("10.244.1.0/24",)

def pod(name, *containers, **metadata):
    return {"metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", **metadata},
            "spec": {"hostNetwork": True, "nodeName": "n1", "containers": list(containers)}, "status": {}}

def ready(status): return {c["type"]: c["status"] for c in status["conditions"]}["Ready"]

def state(): return api.statuses[-1]["containerStatuses"][0]["state"]

def until(holds, seconds=300):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds(): return True
        time.sleep(0.02)
    return False

web = pod("web", {"name": "httpbin", "image": "kennethreitz/httpbin", "ports": [{"containerPort": 8080}]})
worker = PodWorker(machine, node, web)
worker.start()
found = {"ready": until(lambda: api.statuses and ready(api.statuses[-1]) == "True")}
found["first"] = [api.statuses[0]["phase"], ready(api.statuses[0])]
found["ip"] = api.statuses[-1]["podIP"]
index = lambda: json.loads(Path("/run/agent/pods.json").read_text())
found["index"] = {k: v for k, v in index()["default/web"].items() if k in ("node", "netns", "ips")}

container = worker.containers[0]
for expected in ("restarted", "backoff"):
    os.kill(container.process.pid, signal.SIGKILL)
    if expected == "restarted":
        found[expected] = until(lambda: container.restarts == 1 and container.ready)
    else:
        found[expected] = until(lambda: getattr(container.state, "reason", "") == "CrashLoopBackOff")
until(lambda: "waiting" in state())
last = api.statuses[-1]
found["crash"] = [last["phase"], ready(last), last["containerStatuses"][0]["restartCount"],
                  last["containerStatuses"][0]["lastState"]["terminated"]["exitCode"]]
container._retry_at = 0
found["again"] = until(lambda: ready(api.statuses[-1]) == "True")

dying = {**web["metadata"], "deletionTimestamp": "now", "deletionGracePeriodSeconds": 30}
worker.see({**web, "metadata": dying})
worker.join(300)
found["gone"] = not worker.is_alive()
found["deleted"] = api.deleted
found["last"] = [ready(api.statuses[-1]), state()["terminated"]["exitCode"]]
found["left"] = [index(), sorted(p.name for p in Path("/run/agent/pods").iterdir()),
                 sorted(p.name for p in Path("/run/agent/logs").iterdir())]

api.statuses.clear()
odd = PodWorker(machine, node, pod("odd", {"name": "c", "image": "nginx"}))
odd.start()
until(lambda: api.statuses)
found["odd"] = [api.statuses[-1]["phase"], state()["waiting"]["reason"]]
odd.forget()
odd.join(300)
broken = PodWorker(machine, node, pod("broken", {"name": "c", "image": "registry.k8s.io/pause:3.10",
                                                 "volumeMounts": [{"name": "v"}]}))
broken.start()
until(lambda: state()["waiting"]["reason"] == "CreateContainerError")
found["broken"] = state()["waiting"]["reason"]
stubborn = pod("stubborn", {"name": "c", "image": "registry.k8s.io/pause:3.10"})
killed = PodWorker(machine, node, stubborn)
killed.start()
until(lambda: killed.containers[0].ready)
pid = killed.containers[0].process.pid
killed.forget()
killed.join(300)
found["forgotten"] = not killed.is_alive() and not Path(f"/proc/{pid}").exists()
EVENTS = ["BackOff", "ErrImageNotOnNetns", "Failed", "Killing", "Started"]
seen = lambda: sorted({reason for reason, _ in api.events})
until(lambda: seen() == EVENTS, 60)
found["events"] = seen()
print(json.dumps(found))
"""


@pytest.mark.parametrize("rootful", [True, False], ids=["root's lab", "user's lab"])
def test_the_whole_life(inside_sandbox: Callable[..., Any], rootful: bool) -> None:
    found = inside_sandbox(SCRIPT, rootful=rootful)
    assert found["ready"]
    assert found["first"] == ["Running", "False"], "not ready before it listens"
    assert found["ip"] == "127.0.0.1"
    assert found["index"] == {"node": "n1", "netns": "/run/netns/n1", "ips": ["127.0.0.1"]}
    assert found["restarted"] and found["backoff"] and found["again"]
    assert found["crash"] == ["Running", "False", 1, 137]
    assert found["gone"]
    assert found["deleted"] == [["/api/v1/namespaces/default/pods/web", 0]]
    assert found["last"] == ["False", 0], "gunicorn ended by itself on SIGTERM"
    assert found["left"] == [{}, [], []]
    assert found["odd"] == ["Pending", "ErrImageNotOnNetns"]
    assert found["broken"] == "CreateContainerError"
    assert found["forgotten"]
    assert found["events"] == ["BackOff", "ErrImageNotOnNetns", "Failed", "Killing", "Started"]
