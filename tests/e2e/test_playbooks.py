"""The playbooks by plain ansible-playbook, without the command: the part that instructors read and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubewire.core.paths import cache_dir

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
EXTRA = """
apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
data: {a: "{{ 1 }}"}
"""
RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=(\d+)", re.MULTILINE)


@dataclass
class Ansible:
    """ansible-playbook with a state folder of its own, on a lab whose file a test may change."""

    folder: Path

    @property
    def lab(self) -> Path:
        return self.folder / "plain.yml"

    def run(self, playbook: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "ansible-playbook"), f"playbooks/{playbook}.yml", "-e", f"lab={self.lab}", *options],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=600,
        )

    def ok(self, playbook: str, *options: str) -> dict[str, int]:
        """The number of changed tasks by host."""
        done = self.run(playbook, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        recap = {host: (int(changed), int(failed)) for host, changed, failed in RECAP.findall(done.stdout)}
        assert not any(failed for _, failed in recap.values())
        return {host: changed for host, (changed, _) in recap.items()}

    def kubewire(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kubewire", *argv], env=self.environment(), capture_output=True, text=True
        )

    def kubectl(self, *argv: str) -> str:
        config = self.kubewire("kubeconfig", "plain").stdout.strip()
        binary = sorted(cache_dir().glob("bin/v*/kubectl"))[-1]
        environment = os.environ | {"KUBECONFIG": config, "KUBERC": "off"}
        done = subprocess.run(
            [str(binary), *argv], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "XDG_STATE_HOME": str(self.folder / "state"),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        }


@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ansible]:
    """One lab for the whole module, made by up.yml."""
    made = Ansible(tmp_path_factory.mktemp("playbooks"))
    (made.folder / "extra.yml").write_text(EXTRA)
    made.lab.write_text("mode: iptables\nmanifests: [extra.yml]\nhttpbin: {replicas: 2}\n")
    changed = made.ok("up")
    assert changed["localhost"] >= 2
    assert {"plain-control-plane", "plain-worker", "plain-worker2"} <= set(changed)
    yield made
    made.run("down")
    shutil.rmtree(made.folder, ignore_errors=True)


def test_a_second_run_changes_nothing_on_any_host(ansible: Ansible) -> None:
    changed = ansible.ok("up")
    assert len(changed) == 4
    assert set(changed.values()) == {0}


def test_verify_passes_and_changes_nothing(ansible: Ansible) -> None:
    assert ansible.ok("verify") == {"localhost": 0}


def test_check_mode_tells_and_does_nothing(ansible: Ansible) -> None:
    ansible.kubectl("scale", "deployment", "httpbin", "--replicas=1")
    done = ansible.run("up", "--check", "-v")
    assert done.returncode == 0, done.stdout
    assert "spec.replicas: 1 → 2" in done.stdout
    assert ansible.kubectl("get", "deployment", "httpbin", "-o", "jsonpath={.spec.replicas}") == "1"
    assert ansible.ok("up")["localhost"] == 1


def test_what_another_tool_added_is_taken_back(ansible: Ansible) -> None:
    added = '{"spec": {"externalIPs": ["192.0.2.7"]}}'
    ansible.kubectl("patch", "service", "httpbin", "-p", added)
    done = ansible.run("up", "-v")
    assert "spec.externalIPs" in done.stdout
    assert ansible.kubectl("get", "service", "httpbin", "-o", "jsonpath={.spec.externalIPs}") == ""


def test_a_template_in_a_manifest_stays_text(ansible: Ansible) -> None:
    assert ansible.kubectl("get", "configmap", "extra", "-o", "jsonpath={.data.a}") == "{{ 1 }}"


def test_a_broken_rule_fails_verify_and_up_mends_it(ansible: Ansible) -> None:
    chain = "KUBE-SVC-FREKB6WNWYJLKTHC"
    broken = ansible.kubewire(
        "exec", "plain", "worker", "--", "iptables", "-w", "-t", "nat", "-D", chain, "2"
    )
    assert broken.returncode == 0, broken.stderr
    done = ansible.run("verify")
    assert done.returncode == 2
    assert "plain-worker" in done.stdout
    assert "kubewire_exit_code: 1" in done.stdout
    mended = ansible.run("up", "-v")
    assert "plain-worker: restarted kube-proxy" in mended.stdout
    assert ansible.ok("verify") == {"localhost": 0}


def test_an_object_of_a_former_definition_goes(ansible: Ansible) -> None:
    ansible.lab.write_text("mode: iptables\nhttpbin: {replicas: 2}\n")
    done = ansible.run("up", "-v")
    assert "removed ConfigMap" in done.stdout
    assert ansible.kubectl("get", "configmap", "-o", "name").split() == ["configmap/kube-root-ca.crt"]
    assert set(ansible.ok("up").values()) == {0}


def test_the_same_name_from_another_file_is_refused(ansible: Ansible) -> None:
    other = ansible.folder / "other"
    other.mkdir()
    (other / "plain.yml").write_text("mode: iptables\n")
    done = ansible.kubewire("up", str(other / "plain.yml"))
    assert done.returncode == 2
    assert str(ansible.lab) in done.stderr


def test_an_image_that_nothing_stands_in_for_fails_at_once_and_says_so(ansible: Ansible) -> None:
    (ansible.folder / "other.yml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: other}\n"
        "spec: {containers: [{name: main, image: example.invalid/other:1}]}\n"
    )
    ansible.lab.write_text("mode: iptables\nmanifests: [other.yml]\nhttpbin: {replicas: 2}\n")
    done = ansible.kubewire("up", str(ansible.lab))
    assert done.returncode == 4, done.stderr
    assert "Pod default/other isn't rolled out" in done.stderr
    assert "example.invalid/other:1" in done.stderr


def test_down_removes_it_and_a_second_down_changes_nothing(ansible: Ansible) -> None:
    assert ansible.ok("down") == {"localhost": 1}
    assert ansible.ok("down") == {"localhost": 0}
    assert ansible.kubewire("exec", "plain", "worker", "--", "true").returncode in {2, 4}


OWN_PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  roles: [kubewire.lab.lab_host, kubewire.lab.{cluster}{workload}, kubewire.lab.verify]
"""


@pytest.mark.parametrize(
    ("cluster", "workload"),
    [
        pytest.param("cluster_netns", ", kubewire.lab.workload", marks=pytest.mark.slow),
        ("cluster", ""),
    ],
)
def test_a_lab_of_a_users_own_playbook_stays(
    ansible: Ansible, tmp_path: Path, cluster: str, workload: str
) -> None:
    collections = tmp_path / "collections"
    (collections / "ansible_collections" / "kubewire").mkdir(parents=True)
    (collections / "ansible_collections" / "kubewire" / "lab").symlink_to(ROOT)
    playbook = tmp_path / "own.yml"
    playbook.write_text(OWN_PLAYBOOK.format(cluster=cluster, workload=workload))
    checks = "" if workload else "checks: [dataplane, routes]\n"
    ansible.lab.write_text(f"mode: iptables\nhttpbin: {{replicas: 2}}\n{checks}")
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), str(playbook), "-e", f"lab={ansible.lab}"],
        cwd=tmp_path,
        env=ansible.environment() | {"ANSIBLE_COLLECTIONS_PATH": str(collections)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        assert ansible.kubewire("exec", "plain", "worker", "--", "true").returncode == 0
        assert set(ansible.ok("up").values()) <= ({0} if workload else {0, 1})
    finally:
        ansible.ok("down")


@pytest.mark.parametrize("lab", ["nothing-of-this-name", "/nonexistent/nothing.yml", "plain"])
@pytest.mark.parametrize("options", [(), ("--check",)])
def test_removing_what_is_not_there_is_ok(ansible: Ansible, lab: str, options: tuple[str, ...]) -> None:
    assert ansible.ok("down", "-e", f"lab={lab}", *options) == {"localhost": 0}


def test_check_mode_of_lab_yml_on_an_absent_lab(ansible: Ansible) -> None:
    ansible.lab.write_text("mode: iptables\nhttpbin: {replicas: 2}\n")
    done = ansible.run("lab", "--check", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "would be done: created Deployment default/httpbin" in done.stdout
    assert ansible.kubewire("exec", "plain", "worker", "--", "true").returncode != 0
