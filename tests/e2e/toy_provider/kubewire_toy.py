"""A third provider: the sandbox of netns under a name of its own."""

from __future__ import annotations

from kubewire.providers.netns.provider import NetnsProvider


class ToyProvider(NetnsProvider):
    name = "toy"
    rank = 0
    embedded = False
    not_real = "provider toy: nothing in it is its own"
