"""Labs on other hosts, seen from here: how they are, and which records have outlived theirs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from kubewire.core.printable import indented, one_line
from kubewire.errors import DefinitionError, HostError, KubewireError, LabError
from kubewire.hosts import far, records, tunnel
from kubewire.hosts.records import Away

AT_ONCE = 20
DEAD = "dead"
GONE = ("absent", DEAD)
READY = "ready"
UNREACHABLE = "unreachable"
UNKNOWN = "unknown"


def phases(labs: Sequence[Away]) -> list[str]:
    """How each is now, all asked at once; `unreachable` where the host doesn't answer, `unknown` where it
    doesn't say.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_phase, labs))


def listed() -> list[tuple[str, str, str, str, str]]:
    """Rows as `steps.survey.listed_labs` gives them; the provider is told as `on HOST`."""
    found, broken = records.everywhere()
    return [
        (away.lab, phase, f"on {away.place.name}", "", away.source)
        for away, phase in zip(found, phases(found), strict=True)
    ] + [(each.lab, UNKNOWN, f"on {each.host}", "", each.why) for each in broken]


def forget_gone() -> list[str]:
    """Drop the records of labs that their hosts say are no more; a line for each. All others are kept."""
    found, _ = records.everywhere()
    gone = [away for away, phase in zip(found, phases(found), strict=True) if phase in GONE]
    for away in gone:
        tunnel.close(away)
        records.forget(away.lab, away.place.name)
    return [f"what was kept of lab {away.lab} on {away.place.name}" for away in gone]


def broken_records() -> list[str]:
    """A line for each record that can't be read."""
    return [f"lab {each.lab} on {each.host}: {each.why}" for each in records.everywhere()[1]]


def clean(host: str) -> list[str]:
    """`kubewire gc` over there; its lines. DefinitionError for a host that no lab was brought up on, LabError
    for one on which it fails.
    """
    known, _ = records.everywhere()
    for away in known:
        if away.place.name == host:
            done = far.call(away, ["gc"])
            if done.code:
                said = indented(done.err).removeprefix("kubewire: ")
                raise LabError(said or f"gc there ended with {done.code}", where=host)
            return [f"{host}: {one_line(line)}" for line in done.out.splitlines()]
    hosts = sorted({away.place.name for away in known})
    raise DefinitionError(
        f"no lab was brought up on {host!r} from here",
        mend=f"hosts with labs: {', '.join(hosts)}" if hosts else "there is no lab on another host",
    )


def _phase(away: Away) -> str:
    try:
        return far.phase(away)
    except HostError:
        return UNREACHABLE
    except KubewireError:
        return UNKNOWN
