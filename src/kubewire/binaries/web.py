"""HTTP requests to release hosts: TLS only, bounded in size and time."""

from __future__ import annotations

import functools
import os
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

import httpx

from kubewire.core import paths
from kubewire.core.errors import HostError
from kubewire.core.files import size_text

PROBE_SECONDS = 3.0
TEXT_LIMIT = 1 << 20
"""Bytes of a checksum or marker file."""
TEXT_SECONDS = 30.0


class SourceFailed(Exception):  # noqa: N818 - not an error of its own: the next source is tried
    """This source can't give the binary; the text is the reason that is shown if all fail."""


class NotListed(SourceFailed):
    """This source answered that it has no such version."""


class Refused(SourceFailed):
    """This source's answer is rejected; a retry would not help."""


def why_unreachable(origin: str) -> str:
    """Why a release host doesn't answer, or "" if it does.

    At most 3 s, with name resolution, once for each process: `getaddrinfo` has no time limit of its own.
    """
    return _probe(origin)


@functools.cache
def trust() -> ssl.SSLContext:
    """The CAs that httpx trusts, and those of this machine's store."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


def require_reachable(origin: str) -> None:
    """SourceFailed where `why_unreachable` knows why."""
    if why := why_unreachable(origin):
        raise SourceFailed(why)


@functools.cache
def _probe(origin: str) -> str:
    outcome: list[str] = []

    def ask() -> None:
        try:
            httpx.head(origin, timeout=PROBE_SECONDS, verify=trust())
            outcome.append("")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            outcome.append(str(error) or type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    host = urlsplit(origin).hostname
    if not outcome:
        return f"{host} did not answer within {PROBE_SECONDS:.0f} s"
    return outcome[0] and f"{host} can't be reached ({outcome[0]})"


@contextmanager
def answer(
    method: Literal["GET", "HEAD"],
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    follow: bool = True,
) -> Iterator[httpx.Response]:
    """The answer to one request, its content not yet read; Refused where it would leave TLS."""

    def require_tls(request: httpx.Request) -> None:
        if request.url.scheme != "https":
            leads = "is" if str(request.url) == url else f"leads to {request.url}, which is"
            raise Refused(f"{url} {leads} not https")

    with (
        _network(),
        httpx.Client(
            verify=trust(),
            follow_redirects=follow,
            timeout=httpx.Timeout(30, connect=10),
            event_hooks={"request": [require_tls]},
        ) as client,
        client.stream(method, url, headers=dict(headers or {})) as found,
    ):
        yield found


def chunks(found: httpx.Response, limit: int, seconds: float) -> Iterator[bytes]:
    """The content; Refused beyond `limit` bytes, SourceFailed after `seconds`."""
    url, size, end = found.request.url, 0, time.monotonic() + seconds
    for chunk in found.iter_raw():
        size += len(chunk)
        if size > limit:
            raise Refused(f"{url} is larger than {size_text(limit)}")
        if time.monotonic() > end:
            raise SourceFailed(f"{url} takes longer than {seconds:.0f} s")
        yield chunk


def get_text(url: str) -> str:
    """A small text file."""
    with answer("GET", url, headers={"Accept-Encoding": "identity"}) as found:
        if found.status_code != 200:
            failed = NotListed if found.status_code in (403, 404) else SourceFailed
            raise failed(f"{url} answered {found.status_code}")
        return b"".join(chunks(found, TEXT_LIMIT, TEXT_SECONDS)).decode(errors="replace")


@contextmanager
def _network() -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceFailed(str(error) or type(error).__name__) from error
    except OSError as error:
        if error.errno is None:
            raise SourceFailed(str(error)) from error
        raise HostError(
            f"writing failed: {os.strerror(error.errno)}",
            where=str(paths.cache_dir()),
            hint="free some space, or set XDG_CACHE_HOME to a folder on a bigger disk",
        ) from error
