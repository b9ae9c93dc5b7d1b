"""PyPI's httpbin, unchanged, with a response header that names the pod."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from httpbin import app

_POD = os.environ.get("HOSTNAME", "")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """httpbin's WSGI application plus `X-Served-By: POD`."""
    # A dual-stack socket shows an IPv4 client as ::ffff:10.244.1.2; httpbin's `origin` is the plain address.
    environ["REMOTE_ADDR"] = environ.get("REMOTE_ADDR", "").removeprefix("::ffff:")

    def respond(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        return start_response(status, [*headers, ("X-Served-By", _POD)], *rest)

    answer: Iterable[bytes] = app(environ, respond)
    return answer
