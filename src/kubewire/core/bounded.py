"""Types for data from outside: strings, counts and lists of bounded size."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

MANY = Meta(max_length=10_000)
Name = Annotated[str, Meta(max_length=253)]
Line = Annotated[str, Meta(max_length=1 << 16)]
Words = Annotated[str, Meta(max_length=2000)]
Text = Annotated[str, Meta(max_length=1 << 20)]
Count = Annotated[int, Meta(ge=0, le=1 << 53)]
