"""The choice of a lab's provider, which is recorded with the lab.

A provider is an entry point of group `kubewire.providers`: its name, and the class (a kubewire.providers.base
Provider). Modules are loaded by name, when they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kubewire.core.errors import DefinitionError, LabError

if TYPE_CHECKING:
    from kubewire.providers.base import Provider

GROUP = "kubewire.providers"
BUILT_IN = {
    "netns": "kubewire.providers.netns.provider:NetnsProvider",
    "kind": "kubewire.providers.kind.provider:KindProvider",
}
"""Known without installation metadata, which a checkout may lack and which is slow to read."""
AUTO = "auto"


@dataclass(frozen=True)
class Choice:
    """A provider's name and why it was chosen, as half a sentence."""

    name: str
    why: str


def choose(wanted: str, *, recorded: Choice | None = None, lab: str = "") -> Choice:
    """The provider for a lab: the recorded one, else the wanted one, else (`auto`) one that can run here.

    DefinitionError for an unknown one, and for another one than an existing lab's.
    """
    if recorded:
        if wanted not in (AUTO, "", recorded.name):
            raise DefinitionError(
                f"lab {lab} was created with provider {recorded.name}; it can't be switched to {wanted}",
                hint=f"remove it first: kubewire down {lab}",
            )
        return recorded
    if wanted in (AUTO, ""):
        return _offered()
    if not is_known(wanted):
        raise DefinitionError(f"no provider {wanted!r}", hint=f"providers: auto, {', '.join(names())}")
    return Choice(wanted, "asked for")


def _offered() -> Choice:
    """The first provider, in order, that can run here."""
    refusals: list[str] = []
    for provider in sorted((each for each in providers() if each.rank), key=lambda each: each.rank):
        if why_not := provider.why_not_here():
            refusals.append(why_not)
        else:
            why = f"{'; '.join(refusals)}, so {provider.why}" if refusals else provider.why
            return Choice(provider.name, why)
    raise LabError(f"no provider can run here: {'; '.join(refusals)}")


def is_known(name: str) -> bool:
    return name in BUILT_IN or name in names()


def names() -> tuple[str, ...]:
    """Every provider's name: the built-in ones, then those of other packages."""
    return (*BUILT_IN, *sorted(set(_registered()) - set(BUILT_IN)))


def providers() -> list[Provider]:
    """Every provider that can be loaded, in the order of `names`."""
    found = []
    for name in names():
        with suppress(LabError):
            found.append(get_provider(name))
    return found


def embedded() -> Provider:
    """The provider that runs wherever kubewire does: in a lab's VM, and on the hosts of a nightly."""
    return next(provider for provider in map(get_provider, BUILT_IN) if provider.embedded)


def lab_problems(data: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Errors in a lab file, according to the provider that it names: (message, keys at fault)."""
    name = data.get("provider", AUTO)
    if name == AUTO or not isinstance(name, str):
        return
    if is_known(name):
        yield from ((text, (key, "provider")) for text, key in get_provider(name).lab_problems(data))
        return
    from kubewire.lab.values import nearest  # slow to import

    known = (AUTO, *names())
    guess = nearest(name, known)
    hint = f": did you mean “{guess}”?" if guess else ";"
    yield f"provider: “{name}” is not known{hint} allowed are {', '.join(known)}", ("provider",)


def get_provider(name: str) -> Provider:
    """The provider of that name; LabError for an unknown one (recorded by a newer release, or from a package
    that isn't installed) or one that can't be loaded.
    """
    target = BUILT_IN.get(name) or _registered().get(name)
    if target is None:
        raise LabError(
            f"provider {name!r} is not known",
            hint=f"known: {', '.join(names())}; install the one it needs",
        )
    module, _, attribute = target.partition(":")
    try:
        found: Provider = getattr(import_module(module), attribute)()
    except Exception as error:  # of another package: whatever it raises
        raise LabError(f"provider {name!r} can't be loaded: {error}", where=target) from error
    return found


@cache
def _registered() -> dict[str, str]:
    """Name → `module:class` of the entry points."""
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=GROUP)}


def recorded_provider(lab: str) -> Provider:
    """The provider in a lab's record, read without loading the lab's definition."""
    from kubewire.core.files import read_own_json
    from kubewire.core.paths import RECORD, lab_dir
    from kubewire.lab.lookup import not_up

    path = lab_dir(lab) / RECORD
    try:
        name = read_own_json(path)["provider"]
    except FileNotFoundError as error:
        raise not_up(lab) from error
    except (LabError, KeyError) as error:
        why = error.what if isinstance(error, LabError) else f"it has no {error}"
        raise LabError(
            f"the lab's record can't be read: {why}",
            where=str(path),
            hint=f"kubewire down {lab} removes it",
        ) from error
    return get_provider(str(name))
