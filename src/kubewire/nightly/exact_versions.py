"""Which exact versions a matrix means today: known minors, and newer ones that the sources list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kubewire.binaries.catalog import MINORS
from kubewire.binaries.versions import minor_of
from kubewire.core.errors import KubewireError
from kubewire.matrix.plan import follows_new_minors, may_be_meant, version_words
from kubewire.matrix.schema import Matrix


@dataclass(frozen=True)
class Chosen:
    """Exact versions, and what must be said of them."""

    versions: tuple[str, ...]
    notes: tuple[str, ...] = ()


def choose(
    matrix: Matrix,
    only: Sequence[str],
    *,
    resolve: Callable[[str], str],
    newer: Callable[[], Iterable[int]],
) -> Chosen:
    """`resolve` makes a version exact; `newer` lists minors beyond the known ones, if any of them is meant.

    A new minor that nobody named and that can't be had is left out, and said; all else is raised.
    """
    exact: dict[str, str] = {}
    counted, notes = [], []
    for minor in newer() if follows_new_minors(matrix) else ():
        word = f"1.{minor}"
        try:
            if may_be_meant(word, only):
                exact[word] = resolve(word)
            counted.append(minor)
        except KubewireError as error:
            notes.append(f"Kubernetes {word} is listed, and left out: {error.what}")
    words = version_words(matrix, only, counted)
    found = tuple(dict.fromkeys(exact.get(word) or resolve(word) for word in words))
    return Chosen(found, (*notes, *(_beyond(version) for version in found if minor_of(version) > MINORS[-1])))


def _beyond(version: str) -> str:
    return (
        f"Kubernetes {version} is newer than 1.{MINORS[-1]}, the newest whose rules kubewire knows: it is "
        "judged by the rules of that one, and a failure may be a change of kube-proxy's"
    )
