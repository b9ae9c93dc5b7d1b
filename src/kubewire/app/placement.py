"""Where a lab runs: on this machine, in a VM of its own, or on hosts that SSH reaches.

Each command decides it once, from the lab, its options and the records; an existing lab never moves.
Light imports only: `kubewire exec` starts with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.core.errors import DefinitionError
from kubewire.hosts import records, remote
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.vm.state import HOST as VM
from kubewire.hosts.vm.state import require_alive
from kubewire.lab.lookup import is_recorded, lab_name

if TYPE_CHECKING:
    from kubewire.dataplane.core.snapshot import Snapshot
    from kubewire.hosts.inventory import Target
    from kubewire.hosts.status import LabStatus
    from kubewire.lab.schema import Lab

LOCAL = "local"
"""The name of this machine in `--host`."""


@dataclass(frozen=True)
class Request:
    """A command's options for a lab, wherever it runs."""

    lab: str
    host: str = ""
    inventory: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    provider: str = "auto"
    verify: bool = False
    recreate: bool = False
    keep: bool = False
    check: bool = False
    diff: bool = False
    wait: bool = True
    form: str = "text"
    output: Path | None = None
    """The file for the report, or the folder for reports of several hosts."""

    @cached_property
    def definition(self) -> Lab:
        """The effective lab; a command reads its file only here."""
        from kubewire.lab.loading import load_lab

        return load_lab(self.lab, self.overrides)

    @property
    def verifies(self) -> bool:
        """Whether to verify the lab; with --check there is nothing to verify."""
        return self.verify and not self.check

    @property
    def playbook(self) -> str:
        return "lab" if self.verifies else "up"

    @property
    def variables(self) -> dict[str, object]:
        """The variables of the playbook."""
        return {
            "lab": self.lab,
            "lab_overrides": dict(self.overrides),
            "provider": self.provider,
            "recreate": self.recreate,
            "keep": self.keep,
        }


@dataclass(frozen=True)
class Local:
    """This machine."""

    lab: str

    def up(self, request: Request) -> int:
        from kubewire.app.on_this_machine import up_here

        return up_here(request)

    def verify(self, request: Request) -> int:
        from kubewire.app.on_this_machine import verify_here

        return verify_here(self.lab, request)

    def down(self, *, wait: bool) -> int:
        from kubewire.app.on_this_machine import down_here

        return down_here(self.lab, wait=wait)

    def run(self, command: Sequence[str], *, terminal: bool = False) -> None:
        """Nothing to do: this process runs the command itself."""

    def snapshot(self) -> Snapshot:
        from kubewire.app.observe import take

        return take(self.lab)

    def status(self) -> LabStatus:
        from kubewire.app.labs import status_here

        return status_here(self.lab)

    def kubeconfig(self) -> Path:
        from kubewire.providers.registry import recorded_provider

        return recorded_provider(self.lab).kubeconfig(self.lab)


@dataclass(frozen=True)
class Remote:
    """Hosts that SSH reaches: `target` has the hosts of a playbook, `known` the lab's records."""

    lab: str
    target: Target
    known: Mapping[str, RemoteLab]

    @property
    def one(self) -> RemoteLab:
        """The only host; DefinitionError if there are several."""
        if len(self.known) > 1:
            raise DefinitionError(
                f"lab {self.lab} is up on {', '.join(self.known)}",
                hint="choose one of them with --host NAME, before the lab",
            )
        return next(iter(self.known.values()))

    def up(self, request: Request) -> int:
        from kubewire.app.on_hosts import up_on_hosts

        return up_on_hosts(self.lab, request, self.target)

    def verify(self, request: Request) -> int:
        from kubewire.app.on_hosts import verify_on_hosts

        return verify_on_hosts(self.lab, request, self.target)

    def down(self, *, wait: bool) -> int:
        from kubewire.app.on_hosts import down_on_hosts

        return down_on_hosts(self.lab, self.known, wait=wait)

    def run(self, command: Sequence[str], *, terminal: bool = False) -> None:
        """Run `kubewire COMMAND` on the host and exit as it does; with `terminal` it gets this terminal."""
        (remote.become if terminal else remote.relay)(self.one, command)

    def snapshot(self) -> Snapshot:
        from kubewire.app.observe import bring_snapshot

        return bring_snapshot(self.one)

    def status(self) -> LabStatus:
        from kubewire.hosts.status import remote_status

        return remote_status(self.one)

    def kubeconfig(self) -> Path:
        from kubewire.hosts import tunnel

        return tunnel.kubeconfig(self.one)


@dataclass(frozen=True)
class Vm(Remote):
    """A VM of the lab's own, reached by SSH; `why` the lab runs in one."""

    why: str = ""

    @property
    def one(self) -> RemoteLab:
        """The VM; LabError if it has ended."""
        require_alive(self.lab)
        return self.known[VM]

    def up(self, request: Request) -> int:
        from kubewire.app.in_vm import up_in_vm

        return up_in_vm(self.lab, request, self.why)

    def verify(self, request: Request) -> int:
        require_alive(self.lab)
        return super().verify(request)

    def down(self, *, wait: bool) -> int:
        from kubewire.app.in_vm import down_in_vm

        return down_in_vm(self.known[VM], wait=wait)

    def status(self) -> LabStatus:
        from kubewire.hosts.status import remote_status

        return remote_status(self.known[VM])


Placement = Local | Remote | Vm


def up(request: Request) -> int:
    """Create a lab, or restore its definition, on its host or that of the request; the exit code."""
    if request.output and not request.verify:
        raise DefinitionError("--reports needs --verify", hint="add --verify, or remove --reports")
    if request.inventory and request.host in ("", LOCAL, VM):
        raise DefinitionError("--inventory needs --host NAME", hint="add --host NAME, or remove --inventory")
    if request.check:
        from kubewire.binaries.resolving import require_exists

        require_exists(request.definition.kubernetes, request.definition.control_plane)
    if request.output and request.verifies:
        from kubewire.app.reports import make_report_folder

        make_report_folder(request.output)
    return resolve_up(request).up(request)


def resolve(lab: str, host: str = "", named: Callable[[str], str] = lab_name) -> Placement:
    """The hosts of a lab, or only `host` of them; this machine if there is no record of it.

    DefinitionError for a host that it isn't on. `named` returns the lab's name.
    """
    if host == LOCAL or (not host and is_recorded(lab)):
        return Local(named(lab))
    name = lab
    if not (known := records.read(lab)):
        name = named(lab)
        known = records.read(name)
    if host and host not in known:
        hint = f"it is up on {', '.join(known)}" if known else f"kubewire up {lab} --host {host}"
        raise DefinitionError(f"lab {lab} isn't up on {host}", hint=hint)
    return _recorded(name, {host: known[host]} if host else known)


def resolve_up(request: Request) -> Placement:
    """Where `up` creates or repairs a lab: on its current hosts, else those of the request.

    DefinitionError if the request would leave the lab running on another host.
    """
    name = request.definition.name
    known = records.read(name)
    wanted = request.host
    if why := why_in_vm(request):
        return Vm(name, recorded_target(known), known, why)
    if wanted in ("", LOCAL):
        if known and wanted == LOCAL:
            raise _moved(name, ", ".join(known), LOCAL)
        return _recorded(name, known)
    if is_recorded(name):
        raise _moved(name, "this machine", wanted)
    from kubewire.hosts.inventory import find_target

    target = find_target(wanted, request.inventory)
    new, old = set(target.hosts), set(known)
    if old and not (new <= old or new >= old):
        raise _moved(name, ", ".join(known), wanted)
    return Remote(name, target, known)


def why_in_vm(request: Request) -> str:
    """Why the lab runs in a VM, or "": requested, in one already, or this kernel lacks what it needs.

    DefinitionError if it runs on another host, or another provider is requested.
    """
    if request.host not in ("", VM):
        return ""
    lab = request.definition
    known = records.read(lab.name)
    if request.host == VM:
        if is_recorded(lab.name) or set(known) - {VM}:
            raise _moved(lab.name, "this machine" if is_recorded(lab.name) else ", ".join(known), "a VM")
        from kubewire.providers.registry import embedded

        if request.provider not in ("auto", inside := embedded().name):
            raise DefinitionError(f"labs in a VM use provider {inside}, not {request.provider}")
        return "asked for"
    if known:
        return "the lab is in one already" if set(known) == {VM} else ""
    if is_recorded(lab.name) or lab.mode.value != "ipvs":
        return ""
    from kubewire.providers.registry import choose, get_provider

    chosen = choose(request.provider if request.provider != "auto" else lab.provider)
    maker = get_provider(chosen.name)
    return maker.why_in_vm(lab) if maker.embedded else ""


def recorded_target(known: Mapping[str, RemoteLab]) -> Target:
    """The hosts in a lab's records, and the inventories that they came from."""
    from kubewire.hosts.inventory import Target

    sources = dict.fromkeys(source for away in known.values() for source in away.inventory)
    return Target(",".join(known), tuple(known), tuple(sources))


def _recorded(name: str, known: Mapping[str, RemoteLab]) -> Placement:
    if not known:
        return Local(name)
    kind = Vm if set(known) == {VM} else Remote
    return kind(name, recorded_target(known), known)


def _moved(name: str, current: str, wanted: str) -> DefinitionError:
    return DefinitionError(
        f"lab {name} runs on {current}; it can't be moved to {wanted}",
        hint=f"remove it first: kubewire down {name}",
    )
