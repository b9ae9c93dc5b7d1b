"""The agent's control socket: one JSON line asks, one JSON line answers.

`{"op": "status"}` → `{"ok": true, "nodes": […], "pods": […]}`;
`{"op": "repair", "node": NAME, "check": BOOL}` → `{"ok": true, "mended": [text…]}`, with `check` what would
be mended; faults → `{"ok": false, "error": text}`.
"""

from __future__ import annotations

import json
import logging
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from kubewire.core.errors import KubewireError
from kubewire.providers.netns.control import IDLE_SECONDS, listen

log = logging.getLogger(__name__)
Json = dict[str, Any]
Handler = Callable[[Json], Json]
SOCKET = "control.sock"
_LONGEST = 65_536


def serve(path: Path, handlers: dict[str, Handler]) -> None:
    """Answer on a unix socket at `path` (mode 0600), each connection in a thread of its own."""

    class Request(socketserver.StreamRequestHandler):
        timeout = IDLE_SECONDS

        def handle(self) -> None:
            with suppress(OSError):  # gone, or idle for too long
                answer = _answer(self.rfile.readline(_LONGEST), handlers)
                self.wfile.write(json.dumps(answer).encode() + b"\n")

    path.unlink(missing_ok=True)
    server = socketserver.ThreadingUnixStreamServer(str(path), Request, bind_and_activate=False)
    server.daemon_threads = True
    server.socket.close()
    server.socket = listen(path)
    threading.Thread(target=server.serve_forever, name="control", daemon=True).start()


def _answer(line: bytes, handlers: dict[str, Handler]) -> Json:
    try:
        request = json.loads(line)
        handler = handlers.get(request["op"])
        if handler is None:
            known = ", ".join(sorted(handlers))
            return {"ok": False, "error": f"unknown op {request['op']!r}; there are {known}"}
        return {"ok": True, **handler(request)}
    except KubewireError as error:
        return {"ok": False, "error": str(error)}
    except Exception as error:
        log.exception("a control request failed")
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}
