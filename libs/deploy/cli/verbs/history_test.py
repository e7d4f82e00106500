"""`ship history` as people read it."""

from __future__ import annotations

from deploy.cli.verbs.history import VERB

RELEASE = {
    "turn": 1,
    "when": "2026-11-02T09:00:00+00:00",
    "verb": "deploy",
    "release": "r000001-3f9c2ab",
    "revision": "3f9c2ab1d2e3",
    "outcome": "live",
    "seconds": 12.34,
    "durations": {"command": 12.34, "drain": 30.44},
    "requests_cut": 0,
    "who": "ada",
    "why": "",
    "logs": None,
}
COMMAND = {
    "when": "2026-11-02T10:00:00+00:00",
    "host": "host-2",
    "release": "r000001-3f9c2ab",
    "exit_code": 3,
    "who": "grace",
    "command": "psql --password '***'",
}


def test_history_lists_commands_and_verified_ledgers_below_the_releases() -> None:
    document = {
        "service": "app",
        "releases": [RELEASE],
        "commands": [COMMAND],
        "verified": {"host-2": 9},
    }
    assert VERB.show(document).splitlines() == [
        "TURN  WHEN                       VERB    RELEASE          REVISION      OUTCOME  SECONDS  DRAIN  WHO  WHY",
        "1     2026-11-02T09:00:00+00:00  deploy  r000001-3f9c2ab  3f9c2ab1d2e3  live     12.3     30.4   ada",
        "",
        "WHEN                       HOST    RELEASE          CODE  WHO    COMMAND",
        "2026-11-02T10:00:00+00:00  host-2  r000001-3f9c2ab  3     grace  psql --password '***'",
        "host-2: 9 lines, intact",
    ]


def test_history_without_commands_has_no_second_table() -> None:
    document = {"service": "app", "releases": [RELEASE], "commands": []}
    assert len(VERB.show(document).splitlines()) == 2


def test_history_names_the_command_for_each_release_with_kept_logs() -> None:
    command = "./ship logs app --release r000002-3f9c2ab"
    failed = {**RELEASE, "release": "r000002-3f9c2ab", "outcome": "reverted", "logs": command}
    document = {"service": "app", "releases": [RELEASE, failed, failed], "commands": []}
    assert VERB.show(document).splitlines()[-3:] == [
        "",
        "kept logs of failed or removed replicas:",
        f"  {command}",
    ]


def test_history_counts_the_requests_that_a_drain_cut() -> None:
    document = {"service": "app", "releases": [{**RELEASE, "requests_cut": 2}], "commands": []}
    assert "30.4, 2 cut" in VERB.show(document)
