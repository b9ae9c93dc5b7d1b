"""YAML that others wrote: plain data, or one error, whatever its aliases, its nesting or its numbers."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewire.core.bounded_yaml import MAX_BYTES, MAX_DEPTH, read_yaml

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
)
MERGES = "\n".join(
    ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 10)]
)


def test_what_kubernetes_tools_write_is_read() -> None:
    text = "kind: A\nlist: [1, 2.5, true, null]\nday: 2026-11-28\nshared: &s {x: 1}\nagain: *s\n"
    assert read_yaml(text) == {
        "kind": "A",
        "list": [1, 2.5, True, None],
        "day": "2026-11-28",
        "shared": {"x": 1},
        "again": {"x": 1},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "more than"),
        (MERGES, "more than"),
        ("[" * 500_000, "nested"),
        ("- " * 500_000, "nested"),
        ("? " * 400_000, "nested"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested"),
        ("a: &a [*a]", "alias"),
        ("a: *nowhere", "alias"),
        ("x" * (MAX_BYTES + 1), "larger"),
        ("1" + ":59" * 100_000, "number"),
        ("1" + ":59" * 100_000 + ".5", "number"),
        ("9" * 100_000, "number"),
        ("!!python/object/apply:os.system [id]", "tag"),
        ("!!binary x", "tag"),
        ("a: b: c", "mapping values"),
        ("a: 1\n--- \nb: 2", "document"),
        ("? [a]\n: b", "unhashable"),
        ("\x00", "character|control"),
        ("\ud800", "surrogates"),
    ],
)
def test_too_much_or_odd_is_one_error(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        read_yaml(text)
    assert "\n" not in str(caught.value)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text(st.sampled_from("ab01:.-_[]{}&*!<>|?#'\",% \n\t"), max_size=60) | st.text(max_size=30))
def test_any_text_is_data_or_an_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        read_yaml(text)
