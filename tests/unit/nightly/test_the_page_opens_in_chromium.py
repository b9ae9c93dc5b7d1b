"""The HTML page in a real browser, from disk: it asks for nothing, complains of nothing, and keys are enough.

`--update-screenshots` makes the pictures in docs/ anew, from the real run in nightly/; otherwise only a
missing one is made.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Browser, required_chromium, started
from sample_page import sample_page

from kubewire.matrix.results import Run
from kubewire.nightly.folder import read_run
from kubewire.report.html import run_to_html
from repository import ROOT

DOCS = ROOT / "docs"
RECORDED = Path(__file__).parent / "recorded_run"
COMPLAINTS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
ASKED = ("Network.requestWillBeSent", "Network.webSocketCreated")
TAB, ENTER = ("Tab", 9), ("Enter", 13, "\r")

CONTRASTS = """
(() => {
  const channel = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const rgba = text => text.match(/[\\d.]+/g).map(Number);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const found = rgba(getComputedStyle(e).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
  };
  const ratio = e => {
    const [a, b] = [light(rgba(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  document.querySelectorAll("details").forEach(each => { each.open = true });
  return [...document.querySelectorAll("body *")]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && !e.closest("svg"))
    .map(e => [Math.round(ratio(e) * 100) / 100, e.className + ": " + e.textContent.trim().slice(0, 40)])
    .filter(([found]) => found < 4.5);
})()
"""
"""Every text whose contrast is below WCAG's 4.5, with it."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    required_chromium()
    scratch = tmp_path_factory.mktemp("page")
    (scratch / "report.html").write_text(sample_page(), encoding="utf-8")
    return scratch / "report.html"


@pytest.fixture(scope="module")
def recorded_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the real run that docs/ shows."""
    required_chromium()
    scratch = tmp_path_factory.mktemp("recorded")
    (scratch / "run.json").write_bytes(gzip.decompress((RECORDED / "run.json.gz").read_bytes()))
    (scratch / "report.html").write_text(run_to_html(read_run(scratch)), encoding="utf-8")
    return scratch / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """As a reader with a light desktop has it, nothing heard so far."""
    chromium.call("Emulation.setScriptExecutionDisabled", value=False)
    show(chromium, "light", 1280, 900)
    chromium.events.clear()
    return chromium


def show(browser: Browser, scheme: str, width: int, height: int) -> None:
    scheme_wanted = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[scheme_wanted])
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
    )


def test_it_asks_for_nothing_but_itself_and_complains_of_nothing(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    browser.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    browser.screenshot()
    assert [event["request"]["url"] for event in browser.seen(*ASKED)] == [page.as_uri()]
    assert browser.seen(*COMPLAINTS) == []


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_chromium_ci_fails_and_others_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="apt-get install chromium"):
        required_chromium()


def test_a_page_that_asks_or_complains_would_be_heard(browser: Browser, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.html"
    hostile.write_text("<img src=http://192.0.2.1/x.png><script>console.error('no'); nonsense()</script>")
    browser.open(hostile)
    assert "http://192.0.2.1/x.png" in [event["request"]["url"] for event in browser.seen(*ASKED)]
    assert len(browser.seen(*COMPLAINTS)) >= 2


def test_it_reads_the_same_without_javascript(browser: Browser, page: Path) -> None:
    browser.open(page)
    text = "document.body.innerText"
    with_scripts = browser.evaluate(text)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    assert browser.evaluate(text) == with_scripts
    for words in ("1 failed", "v1.29.6", "KUBE-MARK-MASQ -j MARK --or-mark 0x8000"):
        assert words in with_scripts


def test_keys_reach_every_tile_and_open_its_cell(browser: Browser, page: Path) -> None:
    browser.open(page)
    focused = "document.activeElement.getAttribute('href') || document.activeElement.tagName"
    reached = []
    for _ in range(28):
        browser.press(*TAB)
        reached.append(browser.evaluate(focused))
    assert reached[0] == "#cells", "the first key press offers to skip the table"
    assert len(set(reached)) == 28
    assert all(target.startswith("#cell-") for target in reached[1:])
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press(*ENTER)
    assert browser.evaluate("location.hash") == reached[-1]
    browser.press(*TAB)
    assert browser.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert browser.evaluate("document.activeElement.parentElement.id") == reached[-1].removeprefix("#")
    browser.press(*ENTER)
    assert browser.evaluate("document.activeElement.parentElement.open") is True
    browser.press(*ENTER)
    assert browser.evaluate("document.activeElement.parentElement.open") is False


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_both_schemes(
    browser: Browser, page: Path, run: Run, tmp_path: Path, scheme: str
) -> None:
    show(browser, scheme, 1280, 900)
    (tmp_path / "partial.html").write_text(run_to_html(run))
    browser.open(tmp_path / "partial.html")
    assert browser.evaluate(CONTRASTS) == []
    browser.open(page)
    red, green, blue = browser.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")[:3]
    assert (int(red) + int(green) + int(blue) > 600) is (scheme == "light")
    assert browser.evaluate(CONTRASTS) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_never_wider_than_the_window(browser: Browser, page: Path, width: int) -> None:
    show(browser, "light", width, 900)
    browser.open(page)
    browser.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert browser.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_looks_as_the_docs_show_it(
    browser: Browser, recorded_page: Path, scheme: str, request: pytest.FixtureRequest
) -> None:
    show(browser, scheme, 1200, 900)
    browser.open(recorded_page)
    for words in (
        "1 failed, 1 error",
        "--set-xmark 0x8000/0x8000",
        "kube-apiserver@no-endpoints-control-plane",
    ):
        assert words in browser.evaluate("document.body.innerText")
    taken = browser.screenshot()
    assert taken.startswith(b"\x89PNG")
    assert len(taken) > 50_000, "an empty page is smaller"
    picture = DOCS / f"nightly-{scheme}.png"
    if request.config.getoption("--update-screenshots") or not picture.exists():
        picture.write_bytes(taken)
