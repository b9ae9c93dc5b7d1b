"""Access to a Docker engine by the Docker SDK: its state, images and node containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import CONFLICT, NOT_FOUND
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kubewire.core.errors import HostError, LabError
from kubewire.providers.kind.records import NETWORK, NodeContainer, NodeImage, image_of, node_of

if TYPE_CHECKING:
    from docker import DockerClient

CLUSTER_LABEL = "io.x-k8s.kind.cluster"
SOCKET = Path("/var/run/docker.sock")
PING_SECONDS = 2
CALL_SECONDS = 60
IMAGE_SECONDS = 900
NONE = "no Docker engine answers"
FORBIDDEN = "this user may not open the Docker engine's socket"
OLDEST_API = (1, 41)
"""Docker 20.10: kind needs cgroup namespaces, which it introduced."""


class Engine:
    """A Docker engine that answers. Use `connect` to get one."""

    def __init__(self, client: DockerClient) -> None:
        self.client = client

    def info(self) -> dict[str, Any]:
        """The engine's own description (`GET /info`)."""
        with _told("the Docker engine's description"):
            return dict(self.client.info())

    @property
    def local(self) -> bool:
        """Whether it runs on this machine's kernel, so that node addresses are reachable from here."""
        endpoint = os.environ.get("DOCKER_HOST") or _host()
        desktop = endpoint.endswith("/.docker/desktop/docker.sock")
        return endpoint.partition("://")[0] in ("", "unix") and os.uname().sysname == "Linux" and not desktop

    def nodes(self, cluster: str | None = None) -> list[NodeContainer]:
        """Every node container of a kind cluster (of all clusters), running or not, by name."""
        label = CLUSTER_LABEL if cluster is None else f"{CLUSTER_LABEL}={cluster}"
        with _told("the node containers"):
            found = self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
            return sorted((node_of(each.attrs) for each in found), key=lambda node: node.name)

    def images(self) -> list[NodeImage]:
        """Every image in the engine that has a name."""
        with _told("the images"):
            return [image_of(entry) for entry in self.client.api.images()]

    def image(self, reference: str) -> NodeImage | None:
        """One image, None if it isn't in the engine."""
        from docker.errors import ImageNotFound

        with _told(f"image {reference}"):
            try:
                return image_of(self.client.images.get(reference).attrs)
            except ImageNotFound:
                return None

    def load(self, archive: IO[bytes]) -> None:
        """`docker load` of an archive."""
        with _told("loading an image archive"), self.patience():
            self.client.images.load(archive)

    @contextmanager
    def patience(self) -> Iterator[None]:
        """Within the block, a longer timeout, for calls with a whole image: they may take minutes."""
        api = self.client.api
        api.timeout = IMAGE_SECONDS
        try:
            yield
        finally:
            api.timeout = CALL_SECONDS

    def start(self, node: NodeContainer) -> None:
        with _told(f"starting {node.name}"):
            self.client.api.start(node.id)

    def restart(self, node: NodeContainer) -> None:
        with _told(f"restarting {node.name}"):
            self.client.api.restart(node.id)

    def remove(self, node: NodeContainer) -> None:
        """Remove a container with its anonymous volumes; one that is gone, or being removed, is fine."""
        from docker.errors import APIError

        with _told(f"removing {node.name}"):
            try:
                self.client.api.remove_container(node.id, v=True, force=True)
            except APIError as error:
                if error.status_code not in (NOT_FOUND, CONFLICT):
                    raise

    def network_id(self) -> str:
        """The id of kind's network, "" if there is none."""
        with _told("the networks"):
            found = self.client.api.networks(names=[NETWORK])
            return next((str(entry["Id"]) for entry in found if entry["Name"] == NETWORK), "")

    def remove_network(self, identity: str) -> None:
        """Remove a network if it exists and nothing uses it."""
        from docker.errors import APIError

        try:
            self.client.api.remove_network(identity)
        except APIError:
            return

    def close(self) -> None:
        self.client.close()


def connect() -> Engine:
    """The engine that the docker command would use; HostError if none can be used, and why."""
    from docker import DockerClient
    from docker.errors import DockerException

    try:
        host = _host()
        client = DockerClient(base_url=host, timeout=CALL_SECONDS) if host else DockerClient.from_env()
        version = client.version(api_version=False)
    except (DockerException, OSError, ValueError) as error:
        raise HostError(f"no Docker engine can be used: {_reason(error)}", hint=_hint(error)) from error
    api = tuple(int(part) for part in str(version.get("ApiVersion", "0")).split("."))
    if api < OLDEST_API:
        client.close()
        raise HostError(
            f"the Docker engine {version.get('Version', '')} is too old: kind needs 20.10",
            hint="update Docker, or run the lab embedded: --provider netns",
        )
    return Engine(client)


@contextmanager
def engine() -> Iterator[Engine]:
    """A connection that is closed afterwards."""
    connection = connect()
    try:
        yield connection
    finally:
        connection.close()


def answers() -> bool:
    """Whether an engine answers a ping within two seconds."""
    return not why_silent()


def why_silent() -> str:
    """Why no engine answers a ping within two seconds, "" if one does.

    The SDK is loaded only if there may be one.
    """
    if not _host() and not SOCKET.exists():
        return NONE
    from docker import DockerClient
    from docker.errors import DockerException

    try:
        host = _host()
        client = (
            DockerClient(base_url=host, timeout=PING_SECONDS)
            if host
            else DockerClient.from_env(timeout=PING_SECONDS)
        )
        try:
            return "" if client.ping() else NONE
        finally:
            client.close()
    except (DockerException, OSError, ValueError) as error:
        return FORBIDDEN if _forbidden(error) else NONE


def _host() -> str:
    """The address in the docker command's context, "" for DOCKER_HOST and for the default socket."""
    if "DOCKER_HOST" in os.environ:
        return os.environ["DOCKER_HOST"] if not os.environ.get("DOCKER_TLS_VERIFY") else ""
    if not (Path.home() / ".docker" / "config.json").exists():
        return ""
    from docker.context import ContextAPI
    from docker.errors import DockerException

    try:
        context = ContextAPI.get_current_context()
    except (DockerException, OSError, ValueError):
        return ""
    return str(context.Host or "") if context and context.Name != "default" else ""


def _reason(error: BaseException) -> str:
    text = str(error)
    if _forbidden(error):
        return "its socket may not be opened by this user"
    if "FileNotFoundError" in text or "No such file" in text:
        return "none runs here (there is no socket)"
    if "Connection refused" in text or "ConnectionRefused" in text:
        return "nothing answers at its address"
    return text


def _forbidden(error: BaseException) -> bool:
    return "Permission denied" in str(error) or "PermissionError" in str(error)


def _hint(error: BaseException) -> str:
    if _forbidden(error):
        return "join the group docker (sudo usermod -aG docker $USER, then log in again), or --provider netns"
    return "start Docker (sudo systemctl start docker) or set DOCKER_HOST; or run embedded: --provider netns"


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors of the SDK become LabErrors with the engine's message."""
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        raise LabError(f"{what}: {error.explanation or error}", where="Docker engine") from error
    except (DockerException, OSError) as error:
        raise LabError(f"{what}: {error}", where="Docker engine") from error
