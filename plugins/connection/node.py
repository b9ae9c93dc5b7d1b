"""Reach a lab's node by an argv prefix; see DOCUMENTATION."""

from __future__ import annotations

import shlex
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

from kubewire.core.processes import run

SECONDS = 24 * 3600.0
"""Seconds for one command on a node; a task's own `timeout` is shorter."""

DOCUMENTATION = """
name: node
short_description: Run commands on a lab's node through its argv prefix
description:
  - Runs C(PREFIX /bin/sh -c COMMAND) on the lab host; the prefix enters the node.
  - The node needs only a POSIX shell; no Python, no SSH server.
author: The kubewire authors
options:
  kubewire_prefix:
    description: The argv prefix that enters the node, as set by the inventory plugin M(kubewire.lab.labs).
    type: list
    elements: str
    required: true
    vars:
      - name: kubewire_prefix
"""


class Connection(ConnectionBase):  # type: ignore[misc]
    """A node of a lab on this machine."""

    transport = "kubewire.lab.node"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def _prefix(self) -> list[str]:
        return [str(part) for part in self.get_option("kubewire_prefix")]

    def exec_command(
        self, cmd: str, in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(["/bin/sh", "-c", cmd], in_data)

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        self._checked(f"cat > {shlex.quote(out_path)}", Path(in_path).read_bytes())

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        Path(out_path).write_bytes(self._checked(f"cat < {shlex.quote(in_path)}", None))

    def close(self) -> None:
        self._connected = False

    def _checked(self, command: str, data: bytes | None) -> bytes:
        code, out, error = self._run(["/bin/sh", "-c", command], data)
        if code:
            raise AnsibleConnectionFailure(error.decode(errors="replace").strip() or f"exit code {code}")
        return out

    def _run(self, argv: list[str], data: bytes | None) -> tuple[int, bytes, bytes]:
        done = run([*self._prefix(), *argv], data=data or b"", timeout=SECONDS)
        return done.code, done.stdout, done.stderr
