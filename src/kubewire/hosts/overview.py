"""Labs on other hosts, from the controller: their state, and records of labs that no longer exist."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from kubewire.core.errors import DefinitionError, HostError, KubewireError, LabError
from kubewire.core.leftovers import Leftover
from kubewire.core.printable import indented, one_line
from kubewire.hosts import records, remote, tunnel
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.status import remote_status
from kubewire.lab.lock import lab_lock
from kubewire.providers.base import GONE

AT_ONCE = 20
DEAD = "dead"
READY = "ready"
UNREACHABLE = "unreachable"
UNKNOWN = "unknown"


def phases(labs: Sequence[RemoteLab]) -> list[str]:
    """The state of each, all queried at once; `unreachable` if the host doesn't answer, `unknown` if its
    answer isn't valid.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_phase, labs))


def listed() -> list[tuple[str, str, str, str, str]]:
    """(name, phase, `on HOST`, "", file) of each lab on another host, and of each invalid record."""
    found, broken = records.everywhere()
    return [
        (away.lab, phase, f"on {away.place.name}", "", away.source)
        for away, phase in zip(found, phases(found), strict=True)
    ] + [(each.lab, UNKNOWN, f"on {each.host}", "", each.why) for each in broken]


def garbage() -> list[Leftover]:
    """The records of labs that no longer exist, according to their hosts. All others are kept."""
    found, _ = records.everywhere()
    return [
        Leftover(f"what was kept of lab {away.lab} on {away.place.name}", partial(_forget, away))
        for away, phase in zip(found, phases(found), strict=True)
        if phase in GONE
    ]


def _forget(away: RemoteLab) -> bool:
    with lab_lock(away.lab, "gc", wait=False):
        if _phase(away) not in GONE:  # brought up again by now
            return False
        tunnel.close(away)
        records.forget(away.lab, away.place.name)
        return True


def broken_records() -> list[str]:
    """A line for each record that can't be read."""
    return [f"lab {each.lab} on {each.host}: {each.why}" for each in records.everywhere()[1]]


def on_host(host: str, command: Sequence[str]) -> list[str]:
    """Run a kubewire command that concerns no single lab on that host; its lines. DefinitionError for a host
    that no lab was brought up on, LabError if the command fails.
    """
    known, _ = records.everywhere()
    for away in known:
        if away.place.name == host:
            done = remote.call(away, command)
            if done.code:
                said = indented(done.err).removeprefix("kubewire: ")
                raise LabError(said or f"kubewire {command[0]} ended with exit code {done.code}", where=host)
            return [f"{host}: {one_line(line)}" for line in done.out.splitlines()]
    hosts = sorted({away.place.name for away in known})
    raise DefinitionError(
        f"no lab was brought up on {host!r} from this machine",
        hint=f"hosts with labs: {', '.join(hosts)}" if hosts else "there is no lab on another host",
    )


def _phase(away: RemoteLab) -> str:
    try:
        return remote_status(away).phase
    except HostError:
        return UNREACHABLE
    except KubewireError:
        return UNKNOWN
