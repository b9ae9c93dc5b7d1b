"""The mutation score in Markdown: counts by class, and every survivor with its reason."""

from __future__ import annotations

from collections.abc import Mapping

from equivalences import REASONS
from mutants import Duty, Score

HEAD = """# Mutation score

Every single-object change to recorded dumps of real kube-proxies, and what `kubewire verify` found.
Written by `make mutation`; {share} of all mutants, seed {seed}.

"must be found" changes what a packet can meet, or an object that kube-proxy owns whole; "must not be found"
is what a healthy node may look like at any time; "found or not" is what no packet meets, though kube-proxy
would not write it; "found if met" is another owner's rule, which must be found if it changes where a
packet ends, and only then. Which is which is written beside each mutation in `tests/mutation`, and it is not
taken on trust: "met" counts the mutants in which probe packets end elsewhere than before, of those that were
probed. The probes go through `kubewire trace`, which knows the rules and nothing of what should be there (in
ipvs mode through the plain lines of the dumps). All survivors are probed and none may be met. One that was
found and not met is no contradiction: the probes are some packets of many.
"""


def report(scores: Mapping[str, Score], share: float, seed: int, foreign: float | None = None) -> str:
    """The whole page."""
    total = Score()
    for score in scores.values():
        total.include(score)
    theirs = "" if foreign is None or foreign == share else f" ({_percent(foreign)} of other owners')"
    return "\n".join(
        [
            HEAD.format(share=_percent(share) + theirs, seed=seed),
            *_by_dump(scores),
            "",
            *_by_class(total),
            *_survivors(total),
            "## Wrong",
            "",
            *([f"- {text}" for text in total.wrong] or ["None."]),
            "",
        ]
    )


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") if share >= 0.01 else f"{share:.1%}"


def _by_dump(scores: Mapping[str, Score]) -> list[str]:
    rows = [
        "## By snapshot",
        "",
        " | ".join(["| snapshot", "mutants", *(duty.value for duty in Duty), "wrong |"]),
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, score in scores.items():
        cells = " | ".join("{} of {}".format(*score.share(duty)) for duty in Duty)
        rows.append(f"| {name} | {score.made.total()} | {cells} | {len(score.wrong)} |")
    return rows


def _by_class(total: Score) -> list[str]:
    rows = []
    for duty in Duty:
        hit, made = total.share(duty)
        rows += [f"## {duty.value.capitalize()}: {hit} of {made} found", ""]
        rows += ["| mutation | mutants | found | probed | met |", "|---|--:|--:|--:|--:|"]
        rows += [
            f"| {kind} | {count} | {total.found[key]} | {total.probed[key]} | {total.met[key]} |"
            for key, count in sorted(total.made.items(), key=lambda item: item[0][1])
            for owed, kind in [key]
            if owed is duty
        ]
        rows.append("")
    return rows


def _survivors(total: Score) -> list[str]:
    rows = ["## Survivors, each with its reason", ""]
    for (kind, why), count in sorted(total.survivors.items()):
        rows.append(f"- {kind} ({count}): {REASONS.get(why, 'UNEXPLAINED')}")
    return [*rows, ""]
