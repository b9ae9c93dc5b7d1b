"""Set up the sandbox from inside: PID 1's mounts, the bridge, and the namespaces of each node."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kubewire.core.processes import run
from kubewire.providers.netns import linux
from kubewire.providers.netns.plan import (
    AGENT,
    LOGS,
    NODE_SYSCTLS,
    RUN,
    File,
    NodePlan,
    Plan,
    namespace_path,
    pin_path,
)

_HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
_NSSWITCH = "passwd: files\ngroup: files\nhosts: files\nnetworks: files\nservices: files\nprotocols: files\n"
_RESOLV = "# A lab has no external name server; tools that look an address up fail at once.\n"


def build(plan: Plan) -> None:
    """Turn this new PID 1 into the sandbox of `plan`; raises OSError or RuntimeError."""
    with _one_cpu():
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC)
        linux.set_hostname(plan.lab)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)
        linux.mount("proc", "/proc", "proc")
        _mount_run()
        for file in plan.files:
            if not file.node:
                _write(file)
        children = [_Child(node, [f for f in plan.files if f.node == node.name]) for node in plan.nodes]
        for child in children:
            child.pin()
    _wire(plan, children)


@contextmanager
def _one_cpu() -> Iterator[None]:
    """Stay on one CPU while mount namespaces are created that will be pinned in this one.

    Only a namespace with a higher id than the current one may be pinned (mnt_ns_loop in fs/namespace.c).
    Linux 6.18 allocates ids per CPU: they only increase on the same one.
    """
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


def _mount_run() -> None:
    """Mount the sandbox's own /run, files for local name resolution, and a folder of network namespaces."""
    resolv = Path("/etc/resolv.conf").resolve()
    linux.mount("tmpfs", "/run", "tmpfs", data="mode=755")
    own = ("ns", "home", "scratch", "etc")
    for directory in ("/run/netns", LOGS, AGENT, *(f"{RUN}/{name}" for name in own)):
        Path(directory).mkdir(parents=True, exist_ok=True)
    for target, content in ((resolv, _RESOLV), (Path("/etc/hosts"), _HOSTS), (_nsswitch(), _NSSWITCH)):
        _replace(target, content)
    linux.mount("/run/netns", "/run/netns", flags=linux.MS_BIND)
    linux.mount("none", "/run/netns", flags=linux.MS_SHARED)


def _nsswitch() -> Path:
    return Path("/etc/nsswitch.conf").resolve()


def _replace(target: Path, content: str) -> None:
    """Replace the content of `target` in this mount namespace; a missing file stays absent."""
    if target.is_relative_to("/run"):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    elif target.is_file():
        own = Path(RUN, "etc", target.name)
        own.write_text(content)
        linux.mount(str(own), target, flags=linux.MS_BIND)


def _write(file: File) -> None:
    path = Path(file.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, file.mode)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(file.content)


def _wire(plan: Plan, children: Sequence[_Child]) -> None:
    """Connect the nodes to the bridge and let each child set up its node's namespaces."""
    _ip(_bridge_commands(plan))
    for child in children:
        child.go()
    failed = [child.node.name for child in children if not child.finished()]
    if failed:
        raise RuntimeError(f"the namespaces of {', '.join(failed)} could not be set up (see above)")


def _bridge_commands(plan: Plan) -> Iterator[str]:
    yield "link set lo up"
    yield "link add br0 type bridge"
    for address in plan.bridge:
        yield f"address add {address} dev br0{' nodad' if ':' in address else ''}"
    for index, node in enumerate(plan.nodes):
        yield f"link add veth-{index} type veth peer name eth0 netns {node.name}"
        yield f"link set veth-{index} master br0 up"
    yield "link set br0 up"


def _node_commands(node: NodePlan) -> Iterator[str]:
    yield "link set lo up"
    for address in node.addresses:
        yield f"address add {address} dev eth0{' nodad' if ':' in address else ''}"
    yield "link set eth0 up"
    for gateway in node.gateways:
        yield f"route add default via {gateway}"


def _ip(commands: Iterator[str]) -> None:
    done = run(["ip", "-batch", "-"], data=("\n".join(commands) + "\n").encode(), timeout=60.0)
    if done.code:
        raise RuntimeError(f"ip -batch: {done.err or f'exit code {done.code}'}")


class _Child:
    """A process in a node's new namespaces: waits until they are pinned and connected, sets them up, ends."""

    def __init__(self, node: NodePlan, files: Sequence[File]) -> None:
        self.node = node
        born_read, born_write = os.pipe()
        go_read, self._go = os.pipe()
        self._pid = linux.fork(lambda: _fill(node, files, born_write, go_read), close=(self._go,))
        os.close(born_write)
        os.close(go_read)
        self._born = born_read

    def pin(self) -> None:
        if os.read(self._born, 1) != b"1":
            raise RuntimeError(f"the namespaces of {self.node.name} could not be created (see above)")
        os.close(self._born)
        for kind, path in (
            ("net", namespace_path(self.node.name)),
            ("mnt", pin_path(self.node.name, "mnt")),
            ("uts", pin_path(self.node.name, "uts")),
        ):
            Path(path).touch()
            linux.mount(f"/proc/{self._pid}/ns/{kind}", path, flags=linux.MS_BIND)

    def go(self) -> None:
        os.write(self._go, b"1")
        os.close(self._go)

    def finished(self) -> bool:
        return os.waitpid(self._pid, 0)[1] == 0


def _fill(node: NodePlan, files: Sequence[File], born: int, go: int) -> None:
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWUTS)
    os.write(born, b"1")
    if os.read(go, 1) != b"1":
        raise RuntimeError("the sandbox gave up")
    linux.set_hostname(node.name)
    with _kept("/run/netns", RUN):
        linux.mount("tmpfs", "/run", "tmpfs", data="mode=755")
    with suppress(OSError):  # if refused, /sys keeps showing the host's links
        linux.mount("sysfs", "/sys", "sysfs", flags=linux.MS_RDONLY)
    for file in files:
        _write(file)
    for name, value in NODE_SYSCTLS.items():
        path = Path("/proc/sys", name.replace(".", "/"))
        if path.exists() or not name.startswith("net.ipv6"):
            path.write_text(value)
    _ip(_node_commands(node))


@contextmanager
def _kept(*directories: str) -> Iterator[None]:
    """Keep these directories reachable while something is mounted over one of their parents."""
    descriptors = {path: os.open(path, os.O_PATH | os.O_DIRECTORY) for path in directories}
    yield
    for path, descriptor in descriptors.items():
        Path(path).mkdir(parents=True, exist_ok=True)
        linux.mount(f"/proc/self/fd/{descriptor}", path, flags=linux.MS_BIND | linux.MS_REC)
        os.close(descriptor)
