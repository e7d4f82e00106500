"""The report page as HTML: complete, well-formed, and safe with text from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from deploy.adapters.report_page import render_page
from deploy.core.analysis.access_log import Origin
from deploy.core.analysis.samples import RequestStats
from deploy.core.analysis.stage import Stage
from deploy.core.analysis.verdict import Conclusion, RuleResult, Verdict
from deploy.core.reports.page import Report, page_of
from deploy.core.reports.release_diff import Change, Commit
from deploy.core.reports.trace_test import LOG

HOSTILE = "<script>alert('x')</script>"
RESULT = RuleResult("errors", Conclusion.FAIL, "9 of 9 requests failed", {"p": 1e-9, "new": 1.0})
REPORT = Report(
    log=LOG,
    made_at="2026-11-24T06:00:00+00:00",
    tool_version="1.2.3",
    image_bytes=(60_000_000, 65_000_000),
    verdicts=((Stage.PREVIEW, Verdict((RESULT,), 2, Origin.SYNTHETIC)),),
    traffic={
        ("r000001-abc", Origin.USERS): [(0.0, RequestStats.from_requests([(0.01, False)] * 20))]
    },
    replicas=(("host-1", "app-r000001-1", "r000001-abc", "healthy"),),
    commits=(Commit("abcdef0123456789", "2026-11-24", "ada", "Fix the cart"),),
    changes=(Change("env COLOR", "", "blue"),),
    replica_diff=("-memory: 1", "+memory: 2"),
    shots=(("home", "data:image/png;base64,AAAA"),),
)


class _Document(HTMLParser):
    """Collects text and tags; fails on tags that are closed in another order than opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]
        if tag not in ("meta", "img", "line", "rect", "polyline", "polygon", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def document(report: Report) -> _Document:
    return _Document(render_page(page_of(report)))


def test_the_page_shows_every_section() -> None:
    html = render_page(page_of(REPORT))
    assert html.startswith('<!doctype html>\n<html lang="en">')
    assert "{{" not in html
    assert "{%" not in html
    found = _Document(html)
    for text in (
        "reverted app r000002-abc deploy to sandbox by ada, 2026-11-24T05:00:00+00:00, over r000001-abc",
        "65.0 MB (+5.0 MB)",
        "before any user failed attempt 2, synthetic requests",
        "errors failed 9 of 9 requests failed p 1e-09",
        "abcdef012 Fix the cart ada 2026-11-24",
        "env COLOR — blue",
        "-memory: 1 +memory: 2",
        "host-1 app-r000001-1 healthy",
        "3 steps",
        "4.0 s switch host-1 PointTraffic r1 is live nginx refuses 0.5 s",
        "ship 1.2.3 · 2026-11-24T06:00:00+00:00",
    ):
        assert text in found.text
    assert found.tags.count("svg") == 5
    assert "Users' requests r000001-abc 20" in found.text
    assert "Synthetic requests None at that time." in found.text
    assert found.tags.count("img") == 1


def test_a_page_without_optional_facts_is_complete() -> None:
    empty = Report(log=replace(LOG, previous="", spans=()), made_at="", tool_version="")
    found = document(empty)
    assert "0 steps" in found.text
    assert found.tags.count("svg") == 1
    assert ", over" not in found.text


def test_text_from_elsewhere_is_escaped() -> None:
    hostile = replace(
        REPORT,
        log=replace(
            LOG,
            service=HOSTILE,
            who=HOSTILE,
            why=HOSTILE,
            outcome=f'"{HOSTILE}',
            spans=tuple(
                replace(span, step=HOSTILE, error=HOSTILE, because=HOSTILE) for span in LOG.spans
            ),
        ),
        verdicts=((Stage.USERS, Verdict((replace(RESULT, rule=HOSTILE, text=HOSTILE),))),),
        traffic={(HOSTILE, Origin.USERS): [(0.0, RequestStats.from_requests([(0.01, False)]))]},
        replicas=((HOSTILE, HOSTILE, HOSTILE, HOSTILE),),
        commits=(Commit(HOSTILE, HOSTILE, HOSTILE, HOSTILE),),
        changes=(Change(HOSTILE, HOSTILE, HOSTILE),),
        replica_diff=(HOSTILE,),
        shots=((HOSTILE, f'"{HOSTILE}'),),
    )
    found = document(hostile)
    assert "script" not in found.tags
    assert "<script>alert('x')</script>" in found.text


def test_only_web_addresses_become_links() -> None:
    for url, links in (
        ("https://gitlab.test/p/1", ["https://gitlab.test/p/1"]),
        ("http://gitlab.test/p/1", ["http://gitlab.test/p/1"]),
        ("javascript:alert(1)", []),
        ("", []),
    ):
        report = replace(REPORT, log=replace(LOG, pipeline=url))
        assert document(report).links == links


def test_control_characters_are_shown_as_text() -> None:
    text = render_page(page_of(replace(REPORT, log=replace(LOG, why="\x1b[2J \u202egnp.exe"))))
    assert "\\x1b[2J \\u202egnp.exe" in text
    assert not {"\x1b", "\u202e"} & set(text)
