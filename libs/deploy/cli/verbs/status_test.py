"""`ship status` as people and scripts read it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from deploy.cli.verb import Document
from deploy.cli.verbs.status import VERB, document_of
from deploy.core.config import HostConfig
from deploy.run.queries.status import status
from deploy.run.rollout.rollout_fixture import ONE, live_fleet
from deploy.testing import factories
from deploy.testing.fleet.fleet import Fleet


def document(fleet: Fleet) -> Document:
    found = status(fleet.environment(), fleet.hosts, [factories.service()])
    return document_of(fleet.environment(), found)


def lines(fleet: Fleet) -> list[str]:
    return VERB.show(document(fleet)).splitlines()


def test_an_unreachable_host_makes_the_exit_code_4_and_is_named_beside_what_is_live() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet.gone.add("host-2")
    found = document(fleet)
    assert (found["ok"], found["exit_code"]) == (False, 4)
    error = cast("dict[str, str]", found["error"])
    assert error["message"] == "host-2: the connection was lost"
    assert (
        f"app: {ONE} live on host-1; host-2 unreachable (the connection was lost), "
        "3/6 replicas ready" in lines(fleet)
    )


def test_a_service_with_a_host_name_has_its_own_url_and_a_command_that_reaches_it() -> None:
    service = factories.service(host="shop.test")
    environment = replace(
        Fleet.of("host-1").environment(),
        hosts=(HostConfig("host-1", "127.0.0.1", "http://127.0.0.1:18080", "host-1:9443"),),
    )
    fleet = Fleet.of("host-1")
    found = document_of(environment, status(environment, fleet.hosts, [service]))
    assert found["urls"] == {"app": "http://shop.test:18080"}
    assert (
        "  http://shop.test:18080, here: "
        "curl --resolve shop.test:18080:127.0.0.1 http://shop.test:18080"
    ) in VERB.show(found).splitlines()


def test_a_fleet_that_answers_leaves_ok_and_exit_code_to_main() -> None:
    assert "exit_code" not in document(live_fleet())
