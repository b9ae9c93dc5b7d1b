"""What a matrix file says: which labs, in which versions and modes, on which providers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from kubewire.core.errors import DefinitionError
from kubewire.lab.schema import Duration, Mode, Model, Whole
from kubewire.lab.values import kubernetes_version, mode, wrong
from kubewire.matrix.selectors import parse_selector
from kubewire.providers.registry import embedded, is_known, names

LATEST = re.compile(r"latest(?: ([1-9][0-9]?))? minors?")


def _list(value: Any) -> Any:
    """A word as a list of one."""
    return [value] if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _version_word(value: Any) -> str:
    text = str(value)
    if text == "all" or LATEST.fullmatch(text):
        return text
    return kubernetes_version(value)


def _selector(value: Any) -> Any:
    if isinstance(value, str):
        try:
            parse_selector(value)
        except DefinitionError as error:
            raise wrong(error.what) from error
    return value


def _provider(name: str) -> str:
    if not is_known(name):
        raise wrong(f"“{name}” is not known; allowed are {', '.join(names())}")
    return name


VersionWord = Annotated[str, BeforeValidator(_version_word)]
SelectorText = Annotated[str, BeforeValidator(_selector)]
ProviderName = Annotated[str, AfterValidator(_provider)]
Few = Field(min_length=1)


class Matrix(Model):
    """A nightly: the product of its lists without the excluded cells."""

    description: str = ""
    """The purpose of the matrix, in a sentence."""
    versions: Annotated[tuple[VersionWord, ...], BeforeValidator(_list), Few] = ("all",)
    """Kubernetes versions: `all` known minors, `latest 3 minors`, 1.34 for its newest patch, 1.34.4."""
    modes: Annotated[tuple[Annotated[Mode, BeforeValidator(mode)], ...], BeforeValidator(_list), Few] = tuple(
        Mode
    )
    """kube-proxy's modes; each lab runs in each of them; they override the lab's file."""
    labs: Annotated[tuple[str, ...], BeforeValidator(_list), Few]
    """Labs by name, or by the path of their file."""
    providers: Annotated[tuple[ProviderName, ...], BeforeValidator(_list), Few] = (embedded().name,)
    """The providers of the nodes."""
    control_plane: Literal["auto", "same", "newest-in-skew"] = "auto"
    """Which control plane runs beside a kube-proxy on netns: the `same` version; the `newest-in-skew`, one
    for four minors, so that few are built; `auto`: the same where official releases can be fetched."""
    exclude: tuple[SelectorText, ...] = ()
    """Cells to leave out, each as a selector: `mode=ipvs,provider=kind`, `kubernetes<1.31`."""
    deadline: Duration = "10m"
    """How long one cell may take, as a Go duration, in a VM five times as long; then it is stopped and
    counts as an error."""
    jobs: Annotated[Whole, Field(ge=1, le=64)] | None = None
    """How many cells run side by side at most. Unset: as many as this machine has CPUs."""
