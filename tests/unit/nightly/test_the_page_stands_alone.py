"""The HTML page: nothing fetched, no script, all text escaped, every cell reachable."""

from __future__ import annotations

from html.parser import HTMLParser

from kubewire.matrix.results import ChangeResult, DriftResult, GroupResult, Run
from kubewire.report.html import run_to_html

NASTY = "<img src=x onerror=alert(1)> {{ 7*7 }} & \x1b[2J \u202e"


class Page(HTMLParser):
    """Elements, attributes and ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def values(self, name: str) -> list[str]:
        return [value for found, value in self.attributes if found == name]


def with_drift(run: Run) -> Run:
    change = ChangeResult(kind="changed", place=NASTY, before=(NASTY,), after=("a rule",), nodes=("worker",))
    groups = (
        GroupResult(cause="unknown", title="nothing explains it", standing="open", changes=(change,)),
        GroupResult(cause="nft-dnat-map", title="one map", standing="known", source="kubernetes#1"),
    )
    drifts = tuple(
        DriftResult(since=since, subject="nodeport", before="v1.36.3", after="v1.37.2", groups=groups)
        for since in ("version", "baseline")
    )
    return run.model_copy(update={"drift": drifts, "notes": (NASTY,)})


def test_it_fetches_nothing_and_runs_nothing(run: Run) -> None:
    page = Page(run_to_html(with_drift(run)))
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    assert page.values("src") == []
    assert all(target.startswith("#") for target in page.values("href"))
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "default-src 'none'" in page.values("content")[2]


def test_every_tile_leads_to_its_cell(run: Run) -> None:
    page = Page(run_to_html(run))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = {target.removeprefix("#") for target in page.values("href")}
    assert targets <= set(ids)
    assert {f"cell-{cell.id}" for cell in run.cells} <= targets


def test_text_is_escaped_and_never_evaluated(run: Run) -> None:
    text = run_to_html(with_drift(run))
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=alert(1)&gt; {{ 7*7 }} &amp;" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_bad_cell_is_open_and_names_the_rule(run: Run) -> None:
    text = run_to_html(run)
    assert '<details id="cell-nodeport-iptables-netns-v1.36.3" open>' in text
    assert "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000" in text
    assert '<details id="cell-nodeport-iptables-netns-v1.37.2">' in text
    assert "Partial" in text
