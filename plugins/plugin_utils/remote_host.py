"""Steps on an SSH host: run by kubewire on it, or preparing the host for kubewire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from kubewire.app.steps.outcome import Outcome
from kubewire.app.steps.packages import PACKAGE
from kubewire.app.steps.remote import perform_there
from kubewire.app.steps.send_binaries import ship_binaries
from kubewire.core.errors import HostError
from kubewire.hosts import records, scripts
from kubewire.hosts.provision import checked, provision
from kubewire.hosts.remote import runner
from kubewire.hosts.ssh_target import Run, SshTarget
from kubewire.lab.loading import find_lab
from kubewire.lab.lookup import lab_name, name_to_remove
from kubewire.providers.base import Change

from .place import place_of, shared


def install(run: Run, host: str, packages: list[str], *, check: bool) -> dict[str, Any]:
    """The task result of installing Debian packages.

    Not by ansible.builtin.apt: Ansible trusts a module's result from a lab host, add_host included.
    """
    if odd := [package for package in packages if not PACKAGE.fullmatch(package)]:
        raise HostError(f"{odd[0]!r} is not a valid Debian package name", where=host)
    if not check:
        checked(run, host, scripts.PACKAGES, tuple(packages))
    done = "would be installed" if check else "installed"
    return Outcome([Change(host, f"{package} {done}") for package in packages]).result()


def _is_recorded(place: SshTarget, lab: str) -> bool:
    return place.name in records.read(name_to_remove(lab))


@dataclass(frozen=True)
class RemoteHost:
    """The play's host, by Ansible's connection to it and the variables of the task."""

    connection: Any
    variables: Mapping[str, Any]

    def perform(self, step: str, arguments: Mapping[str, Any], *, check: bool) -> dict[str, Any]:
        """The task result of the step; LabError where it needs a lab that wasn't created."""
        place = place_of(self.connection, self.variables)
        if step == "provision":
            return self._provision(place, **arguments, check=check)
        if step == "remove" and not (place.python or _is_recorded(place, arguments["lab"])):
            return Outcome().result()
        if "lab" in arguments:
            place = records.place_with_python(place, arguments["lab"])
        if step == "binaries":
            return ship_binaries(self.run, place, **arguments, check=check)
        return perform_there(self.run, place, step, arguments, check=check)

    def run(self, command: str, data: bytes = b"") -> tuple[int, str, str]:
        """Run a shell command on the host; HostError if it can't be reached.

        Not through Ansible's own connection, which reads what a host sends without a bound.
        """
        place = shared(place_of(self.connection, self.variables), self.connection)
        return runner(place)(command, data)

    def _provision(self, place: SshTarget, lab: str | None, *, check: bool) -> dict[str, Any]:
        done: list[str] = []
        if not place.python:
            python = str(self.variables.get("ansible_python_interpreter") or "")
            found, done = provision(self.run, place.name, python=python, check=check)
            place = replace(place, python=found)
        if lab and not check:
            sources = tuple(str(source) for source in self.variables.get("ansible_inventory_sources") or ())
            records.write(records.RemoteLab(lab_name(lab), str(find_lab(lab)), place, sources))
        facts = {"ansible_facts": {"kubewire_python": place.python}, "place": asdict(place)}
        return Outcome([Change(place.name, what) for what in done], facts).result(check=check)
