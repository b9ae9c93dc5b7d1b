"""How the agent of a lab host is called (`python -m kubewire.hostagent`), and how its version is checked."""

from __future__ import annotations

from kubewire.core.errors import LabError
from kubewire.hosts.ssh_target import SshTarget

MODULE = "kubewire.hostagent"
PROTOCOL = 1
"""Counts up with each change of what the two ends tell each other."""
OTHER_VERSION = 76
"""The agent's exit code for a caller of another protocol: EX_PROTOCOL of sysexits.h."""
STEP_MARK = "kubewire-answer "
CELL_MARK = b"kubewire-cell "
"""Before an answer, since a login shell may print what it likes."""


class OtherVersionError(LabError):
    """kubewire over there doesn't speak this one's protocol."""

    def __init__(self, host: str) -> None:
        super().__init__(
            "kubewire there is another version",
            where=host,
            hint=f"run kubewire up LAB --host {host}, which installs this version there, or remove the lab"
            " that it carries: kubewire down LAB",
        )


def command(place: SshTarget, verb: str, *arguments: str) -> tuple[str, ...]:
    """The argv, over there, of the agent's verb."""
    return place.module(MODULE, "--protocol", str(PROTOCOL), verb, *arguments)


def check_version(code: int, said: str, host: str) -> None:
    """OtherVersionError where the agent ended because of its version, or there is none yet."""
    if code == OTHER_VERSION or (code == 1 and f"No module named {MODULE}" in said):
        raise OtherVersionError(host)
