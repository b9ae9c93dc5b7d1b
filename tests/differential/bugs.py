"""Which of kube-proxy's known bugs a version no longer has, taken from the release notes by hand: a note on
one of them would be false. `python tests/differential` holds every note against it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import Note
from kubewire.dataplane.known_bugs import PREFIX

# Thread: the modes, the minor that brought the bug, and the first patch of a minor that has the fix; later
# minors have it too.
HAD = {
    "125467": ("iptables ipvs nftables", 29, {29: 10, 30: 6, 31: 2, 32: 0}),
    "126532": ("iptables ipvs nftables", 29, {29: 9, 30: 5, 31: 1, 32: 0}),
    "139628": ("iptables ipvs nftables", 32, {37: 0}),
    "129982": ("iptables ipvs nftables", 32, {32: 3, 33: 0}),
    "135266": ("iptables ipvs nftables", 29, {36: 0}),
    "131765": ("nftables", 29, {33: 6, 34: 0}),
    "122614": ("nftables", 29, {30: 0}),
    "136786": ("nftables", 29, {37: 0}),
    "135631": ("ipvs", 34, {34: 4, 35: 1, 36: 0}),
    "132719": ("ipvs", 29, {34: 0}),
    "121919": ("ipvs", 29, {29: 1, 30: 0}),
    "": ("iptables ipvs nftables", 29, {31: 0}),  # slices with a port without a number
}
_THREAD = re.compile(r"kubernetes#(\d+)")


def threads(notes: Iterable[Note]) -> Iterator[str]:
    """The first thread of each known bug that is noted, "" for one without."""
    for note in notes:
        if note.text.startswith(PREFIX):
            found = _THREAD.search(note.text)
            yield found[1] if found else ""


def false_notes(notes: Iterable[Note], version: Version, mode: str) -> list[str]:
    """The threads of the bugs that are noted although this version, or this mode, can't have them."""
    return [thread for thread in threads(notes) if not _can_have(thread, version, mode)]


def _can_have(thread: str, version: Version, mode: str) -> bool:
    modes, first, fixed = HAD.get(thread, ("", 0, {0: 0}))
    patch = fixed.get(version.minor)
    older = version.patch < patch if patch is not None else version.minor < max(fixed)
    return mode in modes.split() and version.minor >= first and older
