"""Map ssh's messages to errors with a fix. Pure."""

from __future__ import annotations

from kubewire.core.errors import HostError

SUDO = "let that user call sudo without a password, or log in as root"
CUT = "a lab that wasn't ready is removed; run the command again"
CAUSES = (
    (
        "remote host identification has changed",
        "the host's key has changed",
        "if that is right (it was reinstalled), remove the old one: ssh-keygen -R ADDRESS",
    ),
    (
        "host key verification failed",
        "the host's key isn't known here",
        "log in once by ssh and compare the key, or add it to known_hosts",
    ),
    (
        "permission denied",
        "the login is refused",
        "set ansible_user and a key that it accepts (ansible_ssh_private_key_file, ssh-agent, ssh-copy-id)",
    ),
    ("could not resolve", "the host's name can't be resolved", "set ansible_host in the inventory"),
    ("connection refused", "no SSH server answers", "start an SSH server on it, or set ansible_port"),
    ("closed by remote host", "the connection was cut", CUT),
    ("broken pipe", "the connection was cut", CUT),
    ("timed out", "it doesn't answer", "is it switched on, and is ansible_host right?"),
    ("no route to host", "there is no route to it", "is it switched on, and is ansible_host right?"),
    ("network is unreachable", "there is no route to it", "is this machine connected?"),
    ("incorrect sudo password", "sudo refuses", SUDO),
    ("sudo: a password is required", "sudo asks for a password", SUDO),
    ("missing sudo password", "sudo asks for a password", SUDO),
)
"""Words in ssh's message → what it means, and the fix. The first match counts."""


def unreachable(said: str, host: str) -> HostError:
    """The error of a host that ssh, or the connection plugin, couldn't reach."""
    text = said.lower()
    for words, meaning, hint in CAUSES:
        if words in text:
            return HostError(f"{meaning}: {last_line(said)}", where=host, hint=hint)
    return HostError(f"it can't be reached: {last_line(said)}", where=host, hint="ssh -v shows why")


def last_line(said: str) -> str:
    """ssh's error: the last line that isn't empty."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "ssh printed nothing"
