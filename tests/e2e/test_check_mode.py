"""What `up --check` announces is what `up` then changes, line by line; and it writes nothing itself."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import Kubewire

from kubewire.app.steps.outcome import WOULD
from kubewire.core.paths import cache_dir

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SVC = "KUBE-SVC-FREKB6WNWYJLKTHC"
CHANGE = re.compile(r"^      (announced\S*: .*)$", re.M)
WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: httpbin}, ports: [{name: http, port: 80, targetPort: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {word: "in the open"}
"""


@dataclass
class Announced:
    """One lab whose file and whose nodes the cases change."""

    command: Kubewire
    file: Path

    @property
    def web(self) -> Path:
        return self.file.parent / "web.yml"

    def define(self, text: str) -> None:
        self.file.write_text(text)

    def changes(self, *options: str) -> list[str]:
        return CHANGE.findall(self.command.ok("up", str(self.file), *options).text)

    def node(self, node: str, *argv: str) -> str:
        return self.command.node("announced", node, *argv)

    def kubectl(self, *argv: str) -> str:
        binary = sorted(cache_dir().glob("bin/v*/kubectl"))[-1]
        config = self.command.ok("kubeconfig", "announced").out.strip()
        command = [str(binary), "--kubeconfig", config, *argv]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout

    def written(self) -> tuple[str, ...]:
        """Whatever a write to the cluster or to a node's dataplane would alter."""
        objects = json.loads(self.kubectl("get", "services,deployments,configmaps,secrets", "-o", "json"))
        versions = sorted(f"{o['kind']} {_own_version(o)}" for o in objects["items"])
        dumps = [
            re.sub(
                r"^#.*$|\[\d+:\d+\]",
                "",
                self.node(node, "sh", "-c", "iptables-save; ip route; ip link"),
                flags=re.M,
            )
            for node in ("control-plane", "worker", "worker2")
        ]
        return ("\n".join(versions), *dumps)

    def at_rest(self) -> tuple[str, ...]:
        """The same, once every kube-proxy that runs has followed what a case did to the objects."""
        seen = [self.written()]
        while len(seen) < 3 or len(set(seen[-3:])) > 1:
            assert len(seen) < 60, "the lab doesn't come to rest"
            time.sleep(1)
            seen.append(self.written())
        return seen[-1]


def _own_version(obj: dict[str, dict[str, object]]) -> str:
    """What changes with the object's own content, not with its status."""
    kept = {k: v for k, v in obj["metadata"].items() if k in ("name", "generation", "uid", "labels")}
    return json.dumps([kept, obj.get("spec"), obj.get("data")], sort_keys=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Announced]:
    folder = tmp_path_factory.mktemp("announced")
    made = Announced(Kubewire(folder / "state"), folder / "announced.yml")
    made.web.write_text(WEB)
    made.define("mode: iptables\nhttpbin: {replicas: 2}\n")
    yield made
    made.command.run("down", "announced")


def tenseless(lines: list[str]) -> list[str]:
    return [line.replace(WOULD, "", 1) for line in lines]


def changed_file(lab: Announced) -> None:
    lab.define("mode: iptables\nhttpbin: {replicas: 3, port: 8081}\n")


def manifests(lab: Announced) -> None:
    lab.define("mode: iptables\nhttpbin: {replicas: 3, port: 8081}\nmanifests: [web.yml]\n")


def changed_manifest(lab: Announced) -> None:
    lab.web.write_text(WEB.replace("port: 80,", "port: 81,").replace("in the open", "another"))


def scaled_object(lab: Announced) -> None:
    lab.kubectl("scale", "deployment", "httpbin", "--replicas=1")


def image_and_environment(lab: Announced) -> None:
    container = {"name": "httpbin", "env": [{"name": "ADDED", "value": "1"}]}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    lab.kubectl("patch", "deployment", "httpbin", "-p", json.dumps(patch))
    lab.kubectl("rollout", "status", "deployment", "httpbin", "--timeout=300s")


def fields_of_another_tool(lab: Announced) -> None:
    patch = {"spec": {"type": "NodePort", "externalIPs": ["192.0.2.7"]}, "metadata": {"labels": {"a": "b"}}}
    lab.kubectl("patch", "service", "httpbin", "-p", json.dumps(patch))


def deleted_service(lab: Announced) -> None:
    lab.kubectl("delete", "service", "web")


def removed_manifests(lab: Announced) -> None:
    lab.define("mode: iptables\nhttpbin: {replicas: 3, port: 8081}\n")


def killed_pod(lab: Announced) -> None:
    name = lab.kubectl("get", "pods", "-l", "app=httpbin", "-o", "name").split()[0]
    lab.kubectl("delete", name, "--wait=true")
    lab.kubectl("rollout", "status", "deployment", "httpbin", "--timeout=300s")


def removed_rule(lab: Announced) -> None:
    lab.node("worker", "iptables", "-w", "-t", "nat", "-D", SVC, "2")


def removed_rule_and_changed_file(lab: Announced) -> None:
    """The Service's chain that is damaged is one that kube-proxy will write for the new replicas anyway."""
    removed_rule(lab)
    lab.define("mode: iptables\nhttpbin: {replicas: 2, port: 8081}\n")


def wrong_probability(lab: Announced) -> None:
    saved = lab.node("worker2", "iptables-save", "-t", "nat").splitlines()
    rule = next(line for line in saved if line.startswith(f"-A {SVC} ") and "--probability" in line)
    words = shlex.split(rule)[2:]
    words[words.index("--probability") + 1] = "0.75"
    lab.node("worker2", "iptables", "-w", "-t", "nat", "-R", SVC, "2", *words)


def stray_rule(lab: Announced) -> None:
    vip = lab.kubectl("get", "service", "httpbin", "-o", "jsonpath={.spec.clusterIP}")
    stray = ("-d", vip, "-p", "tcp", "--dport", "8081", "-j", "DNAT", "--to-destination", "10.9.9.9:1")
    lab.node("worker", "iptables", "-w", "-t", "nat", "-I", "PREROUTING", *stray)


def missing_route(lab: Announced) -> None:
    lab.node("worker", "ip", "route", "del", "10.244.2.0/24")


def link_down(lab: Announced) -> None:
    lab.node("worker2", "ip", "link", "set", "eth0", "down")


def policy_and_forwarding(lab: Announced) -> None:
    lab.node("worker", "sysctl", "-q", "-w", "net.ipv4.ip_forward=0")
    lab.node("worker2", "iptables", "-w", "-P", "FORWARD", "DROP")


def stopped_kube_proxy(lab: Announced) -> None:
    namespace = lab.node("worker", "readlink", "/proc/self/ns/net").strip()
    found = lab.node("worker", "pgrep", "-x", "kube-proxy").split()
    mine = [p for p in found if lab.node("worker", "readlink", f"/proc/{p}/ns/net").strip() == namespace]
    lab.node("worker", "kill", "-STOP", mine[0])


def stopped_kube_proxy_that_missed_a_change(lab: Announced) -> None:
    stopped_kube_proxy(lab)
    lab.kubectl("scale", "deployment", "httpbin", "--replicas=4")
    lab.node("worker", "iptables", "-w", "-t", "nat", "-F", "KUBE-POSTROUTING")


def killed_kube_proxy(lab: Announced) -> None:
    lab.node("worker2", "pkill", "-KILL", "kube-proxy")


def changed_mode(lab: Announced) -> None:
    lab.define("mode: nftables\nhttpbin: {replicas: 2, port: 8081}\n")


def test_an_absent_lab(lab: Announced) -> None:
    announced = lab.changes("--check")
    assert announced
    assert all(WOULD in line for line in announced), announced
    assert (
        lab.command.run("status", "announced").code == 4 or not (lab.command.state / "kubewire/labs").exists()
    )
    assert lab.changes() == tenseless(announced)


@pytest.mark.parametrize(
    ("damages", "named"),
    [
        ((changed_file,), ("spec.ports.0.port: 8000 → 8081", "spec.replicas: 2 → 3")),
        ((manifests,), ("created Service web", "created Secret key")),
        ((changed_manifest, scaled_object), ("0.port: 80 → 81", "Secret key: ", "spec.replicas: 1 → 3")),
        (
            (image_and_environment, deleted_service),
            ("ADDED", "created Service web (it was deleted)"),
        ),
        ((fields_of_another_tool,), ("192.0.2.7", "NodePort", "metadata.labels")),
        ((removed_manifests, killed_pod), ("removed Service web",)),
        (
            (removed_rule, wrong_probability),
            ("announced-worker: restarted kube-proxy", "announced-worker2: restarted kube-proxy", "0.75"),
        ),
        (
            (removed_rule_and_changed_file,),
            ("announced-worker: restarted kube-proxy", "spec.replicas: 3 → 2"),
        ),
        (
            (stray_rule, missing_route),
            ("announced-worker: deleted a stray rule", "announced-worker: route 10.244.2.0/24"),
        ),
        ((link_down,), ("announced-worker2: link eth0 set up again",)),
        ((policy_and_forwarding,), ("net.ipv4.ip_forward", "policy DROP set back")),
        ((stopped_kube_proxy_that_missed_a_change,), ("kube-proxy@announced-worker", "spec.replicas: 4 → 2")),
        ((killed_kube_proxy,), ("kube-proxy@announced-worker2 restarted by its supervisor",)),
        (
            (changed_mode,),
            ("cluster recreated: mode: iptables → nftables", "created Service default/httpbin"),
        ),
    ],
    ids=lambda value: "+".join(each.__name__ for each in value if callable(each)),
)
def test_what_is_announced_is_what_is_changed(
    lab: Announced, damages: tuple[Callable[[Announced], None], ...], named: tuple[str, ...]
) -> None:
    for damage in damages:
        damage(lab)
    before = lab.at_rest()
    announced = lab.changes("--check")
    assert lab.written() == before, "--check wrote something"
    assert lab.changes() == tenseless(announced)
    text = "\n".join(announced)
    assert [name for name in named if name not in text.replace(WOULD, "")] == []
    assert "in the open" not in text
    assert "changed=0 for every host" in lab.command.ok("up", str(lab.file)).text


def test_diff_shows_both_sides_and_no_secret(lab: Announced) -> None:
    lab.define("mode: nftables\nhttpbin: {replicas: 3, port: 8081}\nmanifests: [web.yml]\n")
    text = lab.command.ok("up", str(lab.file), "--check", "--diff").text
    assert re.search(r"^ +- +replicas: 2\n +\+ +replicas: 3$", text, re.M), text
    assert "kind: Secret" in text
    assert "another" not in text


def test_without_a_change_nothing_is_announced(lab: Announced) -> None:
    lab.command.ok("up", str(lab.file))
    outcome = lab.command.ok("up", str(lab.file), "--check")
    assert "up would change nothing" in outcome.text
    assert CHANGE.findall(outcome.text) == []


def test_recreate(lab: Announced) -> None:
    announced = lab.changes("--check", "--recreate")
    assert lab.changes("--recreate") == tenseless(announced)
    assert announced[0].endswith("removed, to be recreated (recreate)")
