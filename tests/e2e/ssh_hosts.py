"""SSH hosts without machines: each a set of namespaces with its own sshd, address, home, host name.

They share this machine's kernel and its installed programs, nothing else. All of a host's processes end with
the one that made it, and its files lie in the test's folder.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from harness import Kubewire

from kubewire.core.paths import cache_dir
from waiting import eventually

SSHD = "/usr/sbin/sshd"
CONFIG = """
Port 22
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
MaxStartups 50
Subsystem sftp internal-sftp
"""
BOOT = """
set -e
mount --make-rprivate /
mkdir -p {folder}/root/.cache/kubewire/bin
mount --bind {cache} {folder}/root/.cache/kubewire/bin
mount -o remount,bind,ro {folder}/root/.cache/kubewire/bin
mount --rbind {folder}/root /root
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd
hostname {name}
ip link set lo up
read -r go
ip link set {link} name eth0
ip address add {address}/24 dev eth0
ip link set eth0 up
exec {sshd} -D -e -f {folder}/sshd_config
"""


@dataclass(frozen=True)
class SshHost:
    """One host: its name and address, its files, and the process that everything in it dies with."""

    name: str
    address: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def home(self) -> Path:
        """root's home folder there."""
        return self.folder / "root"

    def run(self, command: str) -> str:
        """A shell command there, without SSH."""
        entered = ["nsenter", "-t", str(self.pid), "-a", "sh", "-c", command]
        return subprocess.run(entered, capture_output=True, text=True, check=True).stdout

    @property
    def pid(self) -> int:
        """The host's PID 1, as seen from here."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])


@contextmanager
def ssh_hosts(folder: Path, names: Sequence[str]) -> Iterator[list[SshHost]]:
    """These hosts on a bridge of their own, and `folder/inventory.yml` that knows them; gone at the end.

    The bridge's name and its network, one of those for benchmarks (RFC 2544), are random: several runs of the
    tests on one machine don't meet.
    """
    random = secrets.token_bytes(3)
    bridge, network = f"kwt{random.hex()}", f"198.{18 + random[0] % 2}.{random[1]}"
    _key(folder / "key")
    hosts: list[SshHost] = []
    try:
        _call(f"ip link add {bridge} type bridge")
        _call(f"ip address add {network}.1/24 dev {bridge}")
        _call(f"ip link set {bridge} up")
        for index, name in enumerate(names, 11):
            hosts.append(_boot(folder, name, f"{network}.{index}", bridge))
        _write_inventory(folder, hosts)
        for host in hosts:
            _await(host)
        yield hosts
    finally:
        for host in hosts:
            host.process.kill()
            host.process.wait()
        subprocess.run(["ip", "link", "delete", bridge], capture_output=True)


def _boot(folder: Path, name: str, address: str, bridge: str) -> SshHost:
    base = folder / name
    (base / "root").mkdir(parents=True)
    shutil.copy(folder / "key.pub", base / "authorized_keys")
    _key(base / "host_key")
    (base / "sshd_config").write_text(CONFIG.format(address=address, folder=base))
    inner = f"{bridge}-{address.rpartition('.')[2]}"
    values = {"folder": base, "cache": cache_dir() / "bin", "name": name, "link": f"{inner}i", "sshd": SSHD}
    script = BOOT.format(address=address, **{key: shlex.quote(str(value)) for key, value in values.items()})
    isolation = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child"]
    log = (base / "sshd.log").open("wb")
    process = subprocess.Popen(
        ["unshare", *isolation, "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
    )
    host = SshHost(name, address, base, process)
    eventually(lambda: _own_network(host) or process.poll() is not None)
    assert process.poll() is None, (base / "sshd.log").read_text()
    _call(f"ip link add {inner} type veth peer name {inner}i netns {host.pid}")
    _call(f"ip link set {inner} master {bridge} up")
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.close()
    return host


def _own_network(host: SshHost) -> bool:
    try:
        return Path(f"/proc/{host.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except (OSError, IndexError):
        return False


def _await(host: SshHost) -> None:
    def answers() -> bool:
        try:
            socket.create_connection((host.address, 22), timeout=1).close()
        except OSError:
            return False
        return True

    eventually(answers, (host.folder / "sshd.log").read_text)


def _write_inventory(folder: Path, hosts: Sequence[SshHost]) -> None:
    known = folder / "known_hosts"
    lines = [f"{host.address} {(host.folder / 'host_key.pub').read_text()}" for host in hosts]
    known.write_text("".join(lines))
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(folder / "key"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o IdentitiesOnly=yes",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    members = {host.name: {"ansible_host": host.address} for host in hosts}
    group = {"hosts": members, "vars": variables}
    (folder / "inventory.yml").write_text(yaml.safe_dump({"lab_hosts": {"children": {"students": group}}}))


def _key(path: Path) -> None:
    _call(f"ssh-keygen -q -t ed25519 -N '' -C kubewire-test -f {shlex.quote(str(path))}")


def _call(command: str) -> None:
    subprocess.run(shlex.split(command), check=True, capture_output=True)


@dataclass
class Room:
    """Two hosts and the command that knows them."""

    hosts: list[SshHost]
    command: Kubewire
    folder: Path

    @property
    def inventory(self) -> tuple[str, str]:
        return ("--inventory", str(self.folder / "inventory.yml"))


def left(host: SshHost) -> str:
    """What is left of labs on a host: processes, and files beside the cache."""
    processes = host.run("ps -eo args | grep -E 'kube-|etcd|kubewire' | grep -v grep || true")
    return processes + host.run("find /root -path /root/.cache -prune -o -type f -print")
