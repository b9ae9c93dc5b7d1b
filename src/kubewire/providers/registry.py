"""Which provider makes a lab's nodes, and why; the choice is recorded with the lab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubewire.core.errors import DefinitionError, LabError

if TYPE_CHECKING:
    from kubewire.providers.base import Provider

NAMES = ("netns", "kind")


@dataclass(frozen=True)
class Choice:
    """A provider's name and, in half a sentence, why it was chosen."""

    name: str
    why: str


def choose(wanted: str, *, recorded: Choice | None = None, lab: str = "") -> Choice:
    """The provider for a lab: the recorded one, else the wanted one, else (`auto`) what this machine offers.

    DefinitionError for one that there isn't, and where it would switch under a lab that exists.
    """
    if recorded:
        if wanted not in ("auto", "", recorded.name):
            raise DefinitionError(
                f"lab {lab} was made with provider {recorded.name}; it can't become {wanted} under it",
                mend=f"remove it first: kubewire down {lab}",
            )
        return recorded
    if wanted in NAMES:
        return Choice(wanted, "asked for")
    if wanted not in ("auto", ""):
        raise DefinitionError(f"no provider {wanted!r}", mend=f"providers: auto, {', '.join(NAMES)}")
    if why := docker_silent():
        return Choice("netns", f"{why}, so the lab runs embedded on this machine")
    return Choice("kind", "a Docker engine answers")


def docker_silent() -> str:
    """Why no Docker engine answers a ping within two seconds, "" if one does."""
    from kubewire.providers.kind.engine import why_silent

    return why_silent()


def get_provider(name: str) -> Provider:
    """The provider of that name; LabError for one that this release doesn't know (a newer one's record)."""
    if name == "netns":
        from kubewire.providers.netns.provider import NetnsProvider

        return NetnsProvider()
    if name == "kind":
        from kubewire.providers.kind.provider import KindProvider

        return KindProvider()
    raise LabError(f"this release doesn't know provider {name!r}", mend=f"known: {', '.join(NAMES)}")


def recorded_provider(lab: str) -> Provider:
    """The provider that a lab's record names, read without loading the lab's definition."""
    from kubewire.core.files import read_own_json
    from kubewire.core.paths import lab_dir

    path = lab_dir(lab) / "record.json"
    try:
        name = read_own_json(path)["provider"]
    except FileNotFoundError as error:
        raise LabError(f"lab {lab} isn't up", mend=f"bring it up with: kubewire up {lab}") from error
    except (LabError, KeyError) as error:
        why = error.what if isinstance(error, LabError) else f"it has no {error}"
        raise LabError(
            f"the lab's record can't be read: {why}",
            where=str(path),
            mend=f"kubewire down {lab} removes it",
        ) from error
    return get_provider(str(name))
