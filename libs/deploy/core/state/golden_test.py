"""Compares what this version writes on hosts, byte for byte, with what an older version wrote, and reads that back.

golden.json was written by the version before names and readers changed (revision f774654). A release's compose file has
changed since, with the health check; `as_before` puts back the older one, and the hash that goes with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.core.analysis.access_log import Origin as RequestOrigin
from deploy.core.analysis.stage import Stage
from deploy.core.analysis.verdict import (
    Conclusion,
    RuleResult,
    Verdict,
    dump_verdict,
    parse_verdict,
)
from deploy.core.config import (
    Condition,
    Gate,
    Health,
    Route,
    SecretRef,
    Service,
    Task,
    Tasks,
)
from deploy.core.images.inputs_tag import inputs_tag
from deploy.core.images.oci import Stamp
from deploy.core.reports.rollout_log import RolloutLog, Span, dump_rollout_log, parse_rollout_log
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.edge import (
    HEADER,
    EdgeRoute,
    EdgeState,
    dump_edge,
    generation_of,
    parse_edge,
)
from deploy.core.state.hold import Hold, dump_hold, parse_hold
from deploy.core.state.ledger import Entry, broken_links, head_of, parse_ledger, sealed
from deploy.core.state.release import (
    Origin,
    Release,
    dump_release,
    make_release,
    parse_release,
    scaled,
)
from deploy.core.state.secrets import Pinned
from deploy.core.state.stack import Stack

GOLDEN: dict[str, str] = json.loads(Path(__file__).with_name("golden.json").read_text())
SUBNET = "10.213.0.0/16"
REPLICA = "services:\n  replica:\n    image: ${IMAGE}\n    init: true\n"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop@sha256:" + "ab" * 32
ORIGIN = Origin(
    "3f9c2ab1d2e3f4a5", True, "ada", "2026-11-02T09:00:00+00:00", 'größer "now"', "0.1.0"
)

PLAIN = Service("shop", "services/shop:image")
CONFIGURED = Service(
    "shop",
    "services/shop:image",
    journeys="e2e/shop.py",
    replicas=2,
    memory="512m",
    source="https://git.example/shop",
    route=Route("/shop", "www.example"),
    health=Health(path="/shop/readyz", interval_s=1.5, drain_s=5),
    env={"COLOR": "5$ green", "A": "1"},
)
WITH_SECRETS = replace(
    CONFIGURED,
    secrets={
        "DB_PASSWORD": SecretRef("ssm", "/shop/db", "password", "file"),
        "API_KEY": SecretRef("env", "SHOP_API_KEY", into="env"),
    },
)
WITH_TASKS = replace(
    WITH_SECRETS,
    tasks=Tasks(Task(("flask", "db", "upgrade"), 120.0), Task(("warm-cache",))),
    gate=Gate(conditions=(Condition("queue", "queue_length", at_most=5.0),)),
)
SECRETS = (
    Pinned("API_KEY", "env", "SHOP_API_KEY", "", "env", "hmac-" + "0f" * 16),
    Pinned("DB_PASSWORD", "ssm", "/shop/db", "password", "file", "7"),
)
EDGE = Stack(
    "edge",
    "nginx@sha256:" + "cd" * 32,
    "0123456789abcdef",
    (("0123456789abcdef/compose.yml", "{}\n", 0o644), ("conf/nginx.conf", "events {}\n", 0o600)),
    initial_files=(("conf/routes.conf", "# none\n", 0o644),),
    side_by_side=True,
    settings="EDGE_CONF=../conf\n",
    check=("nginx", "-t", "-q"),
    check_at=("conf", "/etc/nginx/py-cicd"),
)
PLAIN_RELEASE = make_release(
    PLAIN, IMAGE, 7, REPLICA, replace(ORIGIN, dirty=False, why=""), subnet=SUBNET
)
RELEASE = make_release(
    WITH_TASKS, IMAGE, 42, REPLICA, ORIGIN, subnet=SUBNET, secrets=SECRETS, edge=EDGE
)
HOLD = Hold(
    "shop", RELEASE.id, PLAIN_RELEASE.id, "ada", "2026-11-02T09:00:00+00:00", 1793610000.0, "p/7"
)
FIRST_HOLD = replace(HOLD, previous=None, pipeline="")
BEGUN = Entry(
    3,
    "2026-11-02T09:00:00+00:00",
    "ada",
    "deploy",
    "shop",
    RELEASE.id,
    42,
    "begun",
    revision="3f9c2ab",
    image=IMAGE,
    previous=PLAIN_RELEASE.id,
    why="größer",
    pipeline="p/7",
)
ENDED = replace(BEGUN, event="ended", outcome="live", seconds=12.5)
ROUTE = EdgeRoute(
    "shop",
    "/shop",
    "www.example",
    PLAIN_RELEASE.id,
    RELEASE.id,
    (PLAIN_RELEASE.upstream, RELEASE.upstream),
    share=20,
)
STATE = EdgeState((EdgeRoute("api", "/api", ""), ROUTE))
LOG = RolloutLog(
    service="shop",
    release=RELEASE.id,
    previous=PLAIN_RELEASE.id,
    environment="sandbox",
    verb="deploy",
    turn=3,
    who="ada",
    begun="2026-11-02T09:00:00+00:00",
    seconds=12.5,
    outcome="reverted",
    why="größer",
    revision="3f9c2ab",
    pipeline="",
    spans=(
        Span("prepare", "PullImages", "host-1", "not on the host", "host-1: a line", 0.1, 2.0),
        Span("start", "AwaitHealthy", "host-1", "because", "host-1: a line", 2.1, 9.0, "it failed"),
    ),
)
STAMP = Stamp("3f9c2ab1d2e3", 1793610000)
VERDICT = Verdict(
    (
        RuleResult("data", Conclusion.PASS, "300 requests", {"new_requests": 300.0}),
        RuleResult("errors", Conclusion.FAIL, "5 of 9"),
    ),
    2,
    RequestOrigin.USERS,
)


def as_before(name: str, release: Release) -> Release:
    """Returns the release with the compose file and the hash that the older version gave it."""
    older = json.loads(GOLDEN[name])
    return replace(release, compose=older["compose"], config_hash=older["config_hash"])


def written() -> dict[str, str]:
    begun = head_of(BEGUN)
    first = sealed(begun, "")
    return {
        "release plain": dump_release(as_before("release plain", PLAIN_RELEASE)),
        "release": dump_release(as_before("release", RELEASE)),
        "release scaled": dump_release(scaled(as_before("release", RELEASE), 3)),
        "hold": dump_hold(HOLD),
        "hold first": dump_hold(FIRST_HOLD),
        "ledger head": begun,
        "ledger line": sealed(head_of(ENDED), first),
        "edge header": HEADER + dump_edge(STATE),
        "edge generation": generation_of(STATE),
        "edge without routes": render_edge(EdgeState()).partition("\n")[0],
        "rollout log": dump_rollout_log(LOG),
        "verdict": dump_verdict(VERDICT, Stage.PREVIEW),
        "inputs_tag": inputs_tag(CONFIGURED, STAMP, "0f" * 20),
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_bytes_are_those_that_the_older_version_wrote(name: str) -> None:
    assert written()[name] == GOLDEN[name]


def test_every_golden_value_is_compared() -> None:
    assert set(written()) == set(GOLDEN)


READERS: dict[str, tuple[Callable[[str], object], object]] = {
    "release plain": (parse_release, as_before("release plain", PLAIN_RELEASE)),
    "release": (parse_release, as_before("release", RELEASE)),
    "release scaled": (parse_release, scaled(as_before("release", RELEASE), 3)),
    "hold": (parse_hold, HOLD),
    "hold first": (parse_hold, FIRST_HOLD),
    "ledger line": (parse_ledger, (ENDED,)),
    "edge header": (parse_edge, STATE),
    "edge without routes": (parse_edge, EdgeState()),
    "rollout log": (parse_rollout_log, LOG),
    "verdict": (parse_verdict, (Stage.PREVIEW, VERDICT)),
}


@pytest.mark.parametrize("name", READERS)
def test_files_of_the_older_version_are_read_back(name: str) -> None:
    read, value = READERS[name]
    assert read(GOLDEN[name]) == value


def test_ledger_of_the_older_version_has_an_intact_chain() -> None:
    first = sealed(GOLDEN["ledger head"], "")
    assert broken_links(f"{first}\n{GOLDEN['ledger line']}\n") == ()
