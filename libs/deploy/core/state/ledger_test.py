"""Lines of a ledger: sealed, changed and torn."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from deploy.core.state.ledger import (
    Entry,
    broken_links,
    head_of,
    last_sequence,
    last_turn,
    parse_ledger,
    sealed,
    verified,
)


def entry(turn: int, *, event: str = "ended", outcome: str = "live", service: str = "app") -> Entry:
    release = f"r{turn:06d}-3f9c2ab"
    when = "2026-11-02T09:00:00+00:00"
    return Entry(turn, when, "ada", "deploy", service, release, turn, event, outcome)


def dump_entry(entry: Entry, last_line: str) -> str:
    return sealed(head_of(entry), last_line)


def ledger(*entries: Entry) -> str:
    lines: list[str] = []
    for entry in entries:
        lines.append(dump_entry(entry, lines[-1] if lines else ""))
    return "\n".join(lines) + "\n"


entries = st.builds(
    Entry,
    turn=st.integers(1, 9999),
    when=st.text(),
    who=st.text(),
    verb=st.sampled_from(["deploy", "rollback"]),
    service=st.text(),
    release=st.text(),
    sequence=st.integers(1, 9999),
    event=st.sampled_from(["begun", "ended"]),
    why=st.text(),
    seconds=st.floats(0, 1e6),
)


@given(st.lists(entries, max_size=5))
def test_written_entries_are_read_back(found: list[Entry]) -> None:
    text = ledger(*found) if found else ""
    assert parse_ledger(text) == tuple(found)
    assert broken_links(text) == ()


def test_changed_or_missing_line_breaks_the_link_after_it() -> None:
    lines = ledger(*(entry(turn) for turn in (1, 2, 3, 4))).splitlines()
    changed = json.dumps({**json.loads(lines[1]), "who": "mallory"}, sort_keys=True)
    assert broken_links("\n".join([lines[0], changed, *lines[2:]])) == (3,)
    assert broken_links("\n".join([lines[0], *lines[2:]])) == (2,)
    assert broken_links("\n".join(lines[1:])) == (1,)


def test_torn_line_is_skipped_and_reported() -> None:
    whole = ledger(entry(1), entry(2))
    torn = whole + dump_entry(entry(3), whole.splitlines()[-1])[:40]
    assert [entry.turn for entry in parse_ledger(torn)] == [1, 2]
    assert broken_links(torn) == (3,)
    after = torn + "\n" + dump_entry(entry(4), torn.splitlines()[-1]) + "\n"
    assert [entry.turn for entry in parse_ledger(after)] == [1, 2, 4]
    assert broken_links(after) == (3,)


def test_lines_of_another_kind_are_skipped() -> None:
    assert parse_ledger('[]\n{"turn": 1}\nnull\n3\n') == ()


def test_unknown_keys_of_a_newer_version_are_ignored() -> None:
    newer = ledger(entry(7)).replace('"turn"', '"of_later": {"a": 1}, "turn"')
    assert parse_ledger(newer) == (entry(7),)
    assert broken_links("[]\n") == (1,)


def test_last_sequence_and_turn_are_the_highest() -> None:
    found = [entry(3), entry(7), entry(5)]
    assert (last_sequence(found), last_turn(found)) == (7, 7)
    assert (last_sequence([]), last_turn([])) == (0, 0)


def test_verified_entries_ended_live_and_are_in_the_order_of_turns() -> None:
    found = [
        entry(3),
        entry(1),
        entry(2, outcome="reverted"),
        entry(4, event="begun"),
        entry(5, service="b"),
    ]
    assert [entry.turn for entry in verified(found, "app")] == [1, 3]
