"""`wait LAB`: end when the lab ends."""

from __future__ import annotations

from contextlib import suppress

from kubewire.core.errors import KubewireError
from kubewire.providers.registry import providers


def main(arguments: list[str]) -> int:
    (lab,) = arguments
    for provider in providers():
        with suppress(KubewireError):
            provider.wait_until_gone(lab)
    return 0
