"""The outcome of checks: what verify reports, one `Check` an object, in the user's language."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Status = Literal["passed", "failed", "skipped"]
IpFamily = Literal["ipv4", "ipv6", ""]
FAMILIES: tuple[IpFamily, ...] = ("ipv4", "ipv6")


class Check(Struct, frozen=True, gc=False):
    """One checked statement. (id, node, service, object) is unique in a report and stable between runs.

    `id` names the kind of check (`iptables.service.probability`); `object` is a chain, rule, set, map element
    or address; `expected` and `observed` are the exact text the tool prints; `reason` says why it must be so
    (or why it was skipped), with the source of the rule: an upstream file or KEP. `cause` is the key of the
    failed check that leads to this one, () where there is none.
    """

    id: str
    status: Status
    node: str = ""
    family: IpFamily = ""
    service: str = ""
    object: str = ""
    reason: str = ""
    expected: str = ""
    observed: str = ""
    cause: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Its identity in a report."""
        return self.id, self.node, self.service, self.object


class Place(Struct, frozen=True):
    """The node and family that are checked. `prefix` is the mode's part of the ids (`iptables`)."""

    prefix: str
    node: str
    family: IpFamily

    def check(
        self,
        check: str,
        label: str,
        reason: str,
        expected: str,
        observed: str,
        *,
        ok: bool | None = None,
        service: str = "",
    ) -> Check:
        """A check that ran; it passed where both texts are the same, unless `ok` tells."""
        status: Status = "passed" if (expected == observed if ok is None else ok) else "failed"
        return Check(check, status, self.node, self.family, service, label, reason, expected, observed)

    def skip(self, check: str, label: str, reason: str, expected: str = "", *, service: str = "") -> Check:
        """A check that could not run."""
        return Check(check, "skipped", self.node, self.family, service, label, reason, expected)

    def unasked(self, label: str, reason: str, observed: str, service: str = "") -> Check:
        """A failure: something that must not be there."""
        return self.check(
            f"{self.prefix}.extra", label, reason, "(nothing)", observed, ok=False, service=service
        )


class Note(Struct, frozen=True, gc=False):
    """An observation that is neither passed nor failed: a foreign object, a harmless leftover."""

    text: str
    node: str = ""


def adds_up(check: Check) -> bool:
    """Whether it only summarizes other checks: a whole table, or the comparison of all nodes."""
    return check.id.endswith(".table") or check.id == "dataplane.agreement"


def brief(check: Check) -> str:
    """`iptables.service.probability KUBE-SVC-…: expected …, observed …`, each by its first line."""
    expected, observed = (text.partition("\n")[0] or "(nothing)" for text in (check.expected, check.observed))
    return f"{check.id} {check.object}: expected {expected}, observed {observed}"
