"""A place to run real things as the agent does: fresh PID, network and mount namespaces that end with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

RunInside = Callable[..., dict[str, Any]]


@pytest.fixture
def inside_sandbox() -> RunInside:
    """Run a Python script in a sandbox with its own /run; the JSON object it prints."""

    def run(script: str, *, rootful: bool) -> dict[str, Any]:
        if rootful and os.geteuid() != 0:
            pytest.skip("a lab made by root needs root")
        user = () if rootful else ("--user", "--map-root-user")
        argv = [
            *(
                "unshare",
                *user,
                "--net",
                "--mount",
                "--pid",
                "--ipc",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ),
            *("/bin/sh", "-euc", 'mount -t tmpfs tmpfs /run; exec "$@"', "sandbox"),
            *(sys.executable, "-c", script, str(int(rootful))),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
        if "unshare failed" in done.stderr:
            pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run
