"""A lab's state as `kubewire status --format json` prints it, on this machine or another host."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, json
from msgspec.structs import replace

from kubewire.core.bounded import MANY, Line, Name, Text, Words
from kubewire.core.errors import DefinitionError, HostError, LabError
from kubewire.core.printable import one_line
from kubewire.core.processes import TIMED_OUT
from kubewire.core.rpc import decode
from kubewire.hosts import remote
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.ssh_errors import last_line
from kubewire.hosts.vm.state import is_dead, why_dead
from kubewire.providers.base import Phase

SECONDS = 120.0


class Node(Struct):
    name: Name
    role: Name
    addresses: Annotated[list[Name], MANY]


class LabStatus(Struct, rename="camel", kw_only=True):
    """Schema 1; a newer release may have more keys. `components` has a description of each supervised
    component's state.
    """

    schema: Annotated[int, Meta(ge=1, le=1)]
    lab: Name = ""
    phase: Phase
    reason: Text = ""
    provider: Name = ""
    kubernetes: Name = ""
    nodes: Annotated[list[Node], MANY] = []
    pod_limits: Words = ""
    components: dict[Name, Line] = {}


def remote_status(away: RemoteLab) -> LabStatus:
    """The lab's state on its host. HostError if the host can't be reached, LabError for an invalid answer:
    only the host can report `absent`.
    """
    host = away.place.name
    if is_dead(away.lab, host):
        return LabStatus(schema=1, lab=away.lab, phase="dead", reason=why_dead(away.lab))
    done = remote.call(away, ["status", away.lab, "--format", "json"], timeout=SECONDS)
    if done.code == DefinitionError.exit_code:
        return _status_in_words(away)
    if done.code == TIMED_OUT:
        raise HostError("it doesn't answer", where=host)
    if done.code not in (0, LabError.exit_code) or not done.stdout:
        raise LabError(
            f"it can't tell how lab {away.lab} is (exit code {done.code}): {one_line(last_line(done.err))}",
            where=host,
        )
    return replace(decode(done.stdout, LabStatus, host, "status"), lab=away.lab)


def _status_in_words(away: RemoteLab) -> LabStatus:
    """The status from a version without JSON output: only the phase."""
    done = remote.call(away, ["status", away.lab], timeout=SECONDS)
    for line in done.out.splitlines():
        label, _, text = line.partition(" ")
        if label == "phase":
            said = json.encode({"schema": 1, "phase": text.strip().partition(":")[0]})
            return replace(decode(said, LabStatus, away.place.name, "status"), lab=away.lab)
    raise LabError(f"it can't tell how lab {away.lab} is", where=away.place.name)
