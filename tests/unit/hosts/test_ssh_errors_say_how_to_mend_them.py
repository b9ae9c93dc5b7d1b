"""What ssh 9 says, as what a person can act on."""

from __future__ import annotations

import pytest

from kubewire.hosts.ssh_errors import unreachable

CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Host key for 192.0.2.1 has changed and you have requested strict checking.
Host key verification failed.
"""


@pytest.mark.parametrize(
    ("said", "what", "hint"),
    [
        (CHANGED, "the host's key has changed", "ssh-keygen -R"),
        ("Host key verification failed.\r\n", "isn't known here", "known_hosts"),
        ("root@h: Permission denied (publickey).", "the login is refused", "ssh-copy-id"),
        ("ssh: connect to host h port 22: Connection refused", "no SSH server answers", "ansible_port"),
        ("ssh: connect to host h port 22: No route to host", "no route to it", "switched on"),
        ("ssh: Could not resolve hostname h: Name or service not known", "can't be resolved", "ansible_host"),
        ("ssh: connect to host h port 22: Connection timed out", "doesn't answer", "switched on"),
        ("something new", "something new", "ssh -v"),
        ("", "ssh printed nothing", "ssh -v"),
    ],
)
def test_each_has_its_meaning_and_mend(said: str, what: str, hint: str) -> None:
    error = unreachable(said, "alice")
    assert error.exit_code == 3
    assert error.where == "alice"
    assert what in error.what
    assert hint in error.hint
