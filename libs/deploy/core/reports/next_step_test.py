from __future__ import annotations

from typing import Any

import pytest

from deploy.core.reports.next_step import next_steps

REVISION = "3f9c2ab" + "0" * 33
HOST = {
    "name": "host-1",
    "release": "r1",
    "ready": 5,
    "wanted": 5,
    "problem": None,
    "maintenance": False,
}


def service(*hosts: dict[str, Any], **changed: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"name": "app", "release": "r1", "revision": REVISION}
    known |= {"candidate": None, "drift": [], "lock": None, "hosts": list(hosts) or [HOST]}
    return {**known, **changed}


def host(**changed: Any) -> dict[str, Any]:
    return {**HOST, **changed}


def commands(*services: dict[str, Any], **more: Any) -> list[str]:
    known = {"revision": REVISION, "dirty": False, "sandbox": True}
    return [step.command for step in next_steps(services, **{**known, **more})]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (service(host(release=None, ready=0), release=None), ["./ship deploy app"]),
        (service(host(), host(release="r2"), release=None), ["./ship deploy app"]),
        (service(host(ready=3)), ["./ship logs app"]),
        (service(drift=["host-1: a container is missing"]), ["./ship plan app"]),
        (service(host(maintenance=True)), ["./ship maintenance off app"]),
        (
            service(candidate="r2"),
            ["./ship promote app --release r2", "./ship abort app --release r2"],
        ),
        (service(lock={"who": "anna", "since": "12:00"}), ["./ship status app"]),
        (service(host(problem="connection refused", release=None)), ["./ship up"]),
    ],
)
def test_the_next_command_follows_from_what_is_found(
    found: dict[str, Any], expected: list[str]
) -> None:
    assert commands(found) == expected


def test_a_host_of_an_environment_is_checked_and_named_once() -> None:
    gone = host(problem="timed out", release=None)
    assert commands(service(gone), service(gone, name="shop"), sandbox=False) == [
        "./ship host check host-1"
    ]


def test_a_checkout_that_differs_from_what_is_live_can_be_rolled_out() -> None:
    rolled_out = ["./ship plan app", "./ship deploy app"]
    assert commands(service(), revision="0" * 40) == rolled_out
    assert commands(service(), dirty=True) == rolled_out


def test_if_all_is_well_it_says_so() -> None:
    (first, *_) = next_steps([service()], revision=REVISION, dirty=False, sandbox=True)
    assert first.why == "everything runs as configured, from this checkout"
