"""OS packages that a feature needs: installed as root on Debian and Ubuntu, elsewhere named in the error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from kubewire.core.errors import HostError
from kubewire.core.processes import run, search_path
from kubewire.core.progress import Progress

SECONDS = 1800
"""What apt may take on a slow network."""


def missing_packages(commands: Mapping[str, str]) -> list[str]:
    """The packages of those commands (command → package) that aren't found."""
    path = search_path()
    return sorted({package for command, package in commands.items() if not shutil.which(command, path=path)})


def can_install(become: bool = False) -> bool:
    """Whether apt-get exists, and this user is root or may become root."""
    return shutil.which("apt-get") is not None and (os.geteuid() == 0 or become)


def install(packages: list[str], progress: Progress) -> None:
    """Install them; HostError where apt-get doesn't."""
    progress("packages", f"installing {' '.join(packages)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    for arguments in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *packages]):
        done = run(["apt-get", *arguments], timeout=SECONDS, env=environment)
        if done.code:
            raise HostError(
                f"apt-get {arguments[0]} failed: {' '.join((done.err or done.out).splitlines()[-3:])}",
                hint=f"install them by hand: sudo apt-get install {' '.join(packages)}",
            )


def not_installable(missing: list[str]) -> HostError:
    return HostError(
        f"OS packages are missing: {', '.join(missing)}",
        hint=f"install them; on Debian and Ubuntu: sudo apt-get install {' '.join(missing)}",
    )


def require_installable(missing: list[str], *, install: bool = True, become: bool = False) -> None:
    """HostError if packages are missing and can't, or mustn't, be installed."""
    if missing and not (install and can_install(become)):
        raise not_installable(missing)


def provide(commands: Mapping[str, str], progress: Progress) -> None:
    """Install what is missing of these commands (command → package) where that is possible."""
    if (missing := missing_packages(commands)) and can_install():
        install(missing, progress)
