"""Labs on other hosts, seen from here: how they are, and which records have outlived theirs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from kubewire.errors import DefinitionError, KubewireError
from kubewire.hosts import far, records, tunnel
from kubewire.hosts.records import Away

AT_ONCE = 20
GONE = ("absent", "dead")
READY = "ready"


def everywhere() -> list[Away]:
    """Each lab on each other host that is known here."""
    return [away for lab in records.labs() for away in records.read(lab).values()]


def phases(labs: Sequence[Away]) -> list[str]:
    """How each is now, all asked at once; `unreachable` where the host doesn't answer."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_phase, labs))


def listed() -> list[tuple[str, str, str, str, str]]:
    """Rows as `steps.survey.listed_labs` gives them; the provider is told as `on HOST`."""
    found = everywhere()
    return [
        (away.lab, phase, f"on {away.place.name}", "", away.source)
        for away, phase in zip(found, phases(found), strict=True)
    ]


def forget_gone() -> list[str]:
    """Drop the records of labs that are no more; a line for each. Hosts that don't answer keep theirs."""
    found = everywhere()
    gone = [away for away, phase in zip(found, phases(found), strict=True) if phase in GONE]
    for away in gone:
        tunnel.close(away)
        records.forget(away.lab, away.place.name)
    return [f"what was kept of lab {away.lab} on {away.place.name}" for away in gone]


def clean(host: str) -> list[str]:
    """`kubewire gc` over there; its lines. DefinitionError for a host that no lab was brought up on."""
    for away in everywhere():
        if away.place.name == host:
            done = far.call(away, ["gc"])
            return [f"{host}: {line}" for line in done.stdout.decode(errors="replace").splitlines()]
    hosts = sorted({away.place.name for away in everywhere()})
    raise DefinitionError(
        f"no lab was brought up on {host!r} from here",
        mend=f"hosts with labs: {', '.join(hosts)}" if hosts else "there is no lab on another host",
    )


def _phase(away: Away) -> str:
    try:
        return far.phase(away)
    except KubewireError:
        return "unreachable"
