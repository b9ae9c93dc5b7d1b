"""A lab host whose owner put a program where kubewire's Python is expected: it answers what he likes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ssh_hosts import SshHost

from kubewire.core import bundle

PROGRAM = r"""#!/usr/bin/python3
import json, pathlib, sys
lies = json.loads(pathlib.Path("/root/lies.json").read_text())
module, arguments = sys.argv[3], sys.argv[4:]  # python -P -m MODULE …
if module == "kubewire.hostagent":  # --protocol N VERB …
    verb, arguments = arguments[2], arguments[3:]
if module == "kubewire.hostagent" and verb == "call":
    step = json.load(sys.stdin)["step"]
    lie = lies.get(step, {"changed": False, "changes": []})
    answer = {"job": 0, "progress": lies.get("progress", []), "result": lie}
    out = "kubewire-answer " + json.dumps(answer) + "\n"
    code, error = 0, ""
else:
    lie = lies.get("kubewire " + arguments[0], {})
    out, error, code = lie.get("out", ""), lie.get("err", ""), lie.get("code", 0)
while isinstance(lie, str):
    sys.stdout.write(lie * 1000)
sys.stdout.write(out)
sys.stderr.write(error)
sys.exit(code)
"""
"""`lies.json`: a step, or `kubewire COMMAND`, and its answer; a text is an endless one."""

REPORT: dict[str, Any] = {
    **{"schema": 1, "lab": "iptables", "provider": "netns", "kubernetes": "v1.37.2", "mode": "iptables"},
    **{"status": "passed", "summary": {"passed": 1, "failed": 0, "skipped": 0}, "notes": []},
    "nodes": [{"name": "worker", "kube_proxy": "v1.37.2"}],
    "checks": [{"id": "iptables.table", "status": "passed", "node": "worker", "family": "ipv4"}],
    "story": [],
}
CLUSTER: dict[str, Any] = {
    **{"changed": True, "changes": ["iptables: made"], "lab": "iptables", "provider": "netns"},
    **{"why": "asked for", "kubernetes": "v1.37.2", "tools": {"worker": {"nft": "v1.0.6"}}},
}
HONEST: dict[str, Any] = {
    "packages": {"changed": False, "changes": [], "missing": [], "provider": "netns", "binaries": True},
    "missing_binaries": {
        **{"changed": False, "changes": [], "missing": [], "architecture": "amd64", "incoming": "/root/in"}
    },
    "cluster": CLUSTER,
    "verify": {
        **{"changed": False, "changes": [], "msg": "passed", "report": REPORT["summary"]},
        "full_report": REPORT,
    },
}
"""What a host that brought up the lab iptables answers."""


def lie(host: SshHost, **answers: Any) -> None:
    """From now on the host answers as an honest one, but for these steps (`status` means the command)."""
    told: Mapping[str, Any] = {key.replace("kubewire_", "kubewire "): value for key, value in answers.items()}
    base = host.home / ".cache" / "kubewire" / "hosts"
    python = base / f"kubewire-{bundle.digest()}" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(PROGRAM)
    python.chmod(0o755)
    for minor in range(11, 20):
        folder = base / f"packages-{bundle.lock_digest()}-3.{minor}"
        folder.mkdir(exist_ok=True)
        (folder / "done").touch()
    (host.home / "lies.json").write_text(json.dumps({**HONEST, **told}))
