"""Whatever a host prints as its snapshot: verbs work with it or end in a typed error, never in a traceback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deploy.core.commands import snapshot
from deploy.core.commands.snapshot import parse_snapshot
from deploy.core.planning.maintenance import plan_maintenance
from deploy.core.planning.plan import DesiredState
from deploy.core.planning.preflight import clock_warning, unfit
from deploy.core.planning.requests import RollbackCommand, ScaleCommand, resolve
from deploy.core.planning.revert import plan_revert
from deploy.core.planning.rollout import plan_deploy
from deploy.core.reports.status import service_status
from deploy.core.state.fleet import FleetState
from deploy.errors import ShipError
from deploy.run.rollout.rollout_fixture import deploy_command, live_fleet, run_deploy
from deploy.testing import factories

_JSON_FACTS = ("container", "release", "ledger", "hold", "holder")


@cache
def _lines() -> tuple[str, ...]:
    """The snapshot of a host with a live release, a held candidate, a ledger and a lock."""
    fleet = live_fleet()
    run_deploy(fleet, deploy_command(fleet, "two", hold=True))
    fleet.hosts[0].locked_by = "another"
    done = fleet.hosts[0].run(snapshot.take())
    return tuple(done.stdout.splitlines())


odd_texts = st.sampled_from(
    [
        "", " ", "x", "-1", "9" * 5000, "1e999", "NaN", "{}", "[]", "null", "true", '"', "[" * 5000,
        '"\\ud800"', "\x00", "\u2028", "٣", "r000001-", "r" + "9" * 5000 + "-a", "../..", "v28",
    ]
)  # fmt: skip
odd_values: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, -1, 0, 10**30, 1.5, 1e300, "", "x", [], [None], {}, {"x": None}, [[]],
        "\ud800", "\x00", "r" + "9" * 5000 + "-a", "r000009-abc", "٣", {"Status": 3},
        {"format": 2},
    ]
)  # fmt: skip


@st.composite
def crafted(draw: st.DrawFn) -> str:
    lines = list(_lines())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        kind, _, value = lines[at].partition(" ")
        header = "# py-cicd edge: "
        is_edge = value.startswith(header)
        document = value.removeprefix(header)
        choice = draw(st.sampled_from(["text", "value", "value", "value", "cut", "drop", "twice"]))
        if choice == "value" and (kind in _JSON_FACTS or is_edge):
            with suppress(ValueError):
                changed = _changed(draw, json.loads(document))
                value = (header if is_edge else "") + json.dumps(changed)
        elif choice == "cut":
            value = value[: draw(st.integers(0, len(value)))]
        elif choice == "twice":
            lines.append(f"{kind} {value}")
        elif choice == "text":
            value = (header if is_edge else "") + draw(odd_texts)
        lines[at] = "" if choice == "drop" else f"{kind} {value}"
    return "\n".join(lines) + "\n"


def _changed(draw: st.DrawFn, document: Any) -> Any:
    """Returns the document with one value, anywhere in it, replaced or missing."""
    if isinstance(document, Mapping) and document and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(document)))
        if not draw(st.integers(0, 4)):
            return {name: value for name, value in document.items() if name != key}
        return {**document, key: _changed(draw, document[key])}
    if isinstance(document, list) and document and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(document) - 1))
        return [*document[:at], _changed(draw, document[at]), *document[at + 1 :]]
    return draw(odd_values)


@settings(deadline=None, max_examples=300, suppress_health_check=[*HealthCheck])
@given(crafted())
@example('routes # py-cicd edge: {"routes": {}}\n')
@example("container []\n")
@example("container {}\n")
@example('container {"Id": 1}\n')
@example('container {"Id": "", "Name": "", "State": {}, "Config": {"Labels": []}}\n')
@example("holder []\n")
@example("now inf\n")
@example("now " + "9" * 5000 + "\n")
@example("socket 0: x:zz\n")
@example("engine " + "9" * 5000 + ".1\n")
def test_no_snapshot_gives_a_traceback(text: str) -> None:
    try:
        host = parse_snapshot("host-1", text)
    except ValueError:
        return  # `read_host` turns it into a CommandError
    fleet, environment = FleetState((host,)), live_fleet().environment()
    service = factories.service()
    status = service_status(environment, service, fleet, dict(host.holder or {}))
    json.dumps(status).encode()
    unfit(host, needed_bytes=1)
    clock_warning(host, factories.ORIGIN.when)
    fleet.known_releases("app")
    if host.damage:
        return  # `observe` turns it into a RecordError
    origin = factories.ORIGIN
    command = deploy_command(live_fleet(), "three")
    for request in (
        command,
        RollbackCommand(service, origin, None),
        ScaleCommand(service, origin, 5),
    ):
        with suppress(ShipError):
            desired = resolve(request, environment, fleet)
            _shown(plan_deploy(desired, fleet))
            _shown(plan_revert(desired, host.live("app"), fleet, fleet))
            assert isinstance(desired, DesiredState)
    _shown(plan_maintenance("app", fleet, on=True))


def _shown(plan: object) -> None:
    str(plan).encode()
