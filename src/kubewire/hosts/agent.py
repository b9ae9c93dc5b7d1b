"""Call the agent of a lab host (`python -m kubewire.hostagent`), and check its version."""

from __future__ import annotations

from kubewire.core.errors import LabError
from kubewire.hosts.ssh_target import SshTarget

MODULE = "kubewire.hostagent"
PROTOCOL = 1
"""Incremented with each change of the messages between the two ends."""
OTHER_VERSION = 76
"""The agent's exit code for a caller with another protocol: EX_PROTOCOL of sysexits.h."""
STEP_MARK = "kubewire-answer "
CELL_MARK = b"kubewire-cell "
"""Precedes an answer, since a login shell may print other text before it."""


class OtherVersionError(LabError):
    """kubewire on the lab host speaks another protocol."""

    def __init__(self, host: str) -> None:
        super().__init__(
            "kubewire there is another version",
            where=host,
            hint=f"run kubewire up LAB --host {host}, which installs this version there, or remove the lab"
            " that it carries: kubewire down LAB",
        )


def command(place: SshTarget, verb: str, *arguments: str) -> tuple[str, ...]:
    """The argv, on the lab host, of the agent's verb."""
    return place.module(MODULE, "--protocol", str(PROTOCOL), verb, *arguments)


def check_version(code: int, said: str, host: str) -> None:
    """OtherVersionError if the agent ended because of its version, or isn't installed yet."""
    if code == OTHER_VERSION or (code == 1 and f"No module named {MODULE}" in said):
        raise OtherVersionError(host)
