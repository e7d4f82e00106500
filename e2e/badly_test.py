"""Bad releases, broken texts and a full house: what users have stays, and the reason is told."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.deployer_faults import Events
from e2e.loadgen.generator import Plan
from e2e.loadgen.process import (
    Running,
    running,
    streams_of,
)
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts
from e2e.stack import Stack
from e2e.target import output_folder

NOTICED_S = 10.0
KEPT = 5
_turns = itertools.count(1)


@dataclass(frozen=True)
class Bad:
    """A behaviour, the step that has to notice it, and what the reason says."""

    env: Mapping[str, str]
    step: str
    words: tuple[str, ...]
    settings: str = ""
    served: bool = False
    """Whether it may answer users until it is noticed."""


QUICK = "health = {startup_deadline_s = 5, healthy_deadline_s = 5}"
WATCHED = "rollout = {watch_s = 12}"
BAD = {
    "crashes at its start": Bad(
        {"FIXTURE_CRASH_AT_START": "1"}, "AwaitHealthy", ("told to crash", "log: ")
    ),
    "is never ready": Bad({"FIXTURE_NEVER_READY": "1"}, "AwaitHealthy", ("health check: ",), QUICK),
    "starts too slowly": Bad(
        {"FIXTURE_SLOW_START_S": "40"},
        "AwaitHealthy",
        ("never healthy in 5 s", "health check: "),
        QUICK,
    ),
    "answers 500": Bad({"FIXTURE_ERROR_SHARE": "0.3"}, "JudgeRelease", ("errors",), WATCHED),
    "crashes after its health check": Bad(
        {"FIXTURE_CRASH_AFTER_S": "9"}, "WatchRelease", ("ended", "log"), WATCHED, served=True
    ),
    "leaks until it is killed": Bad(
        {"FIXTURE_LEAK_MB_PER_S": "8"}, "WatchRelease", ("memory",), WATCHED, served=True
    ),
}


@pytest.fixture(scope="module")
def good(rollouts: Rollouts) -> str:
    """The release that users have, and go on having."""
    told = {"BADLY": f"{time.time():.0f}"}
    return str(rollouts.deploy(rollouts.environment(env=told)).must().document["release"])


@pytest.fixture
def load(
    stack: Stack, rollouts: Rollouts, good: str, request: pytest.FixtureRequest
) -> Iterator[Running]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    out = output_folder() / "badly" / f"{name}.tsv"
    with running(Plan(stack.url, str(out), streams_of("app.test", HOST_NAME), rate=50)) as load:
        load.await_rows(20)
        yield load
    assert not load.record.of("app").lost, "another service on the host was hit"


@pytest.mark.parametrize("bad", BAD.values(), ids=[name.replace(" ", "-") for name in BAD])
def test_a_bad_release_is_taken_back_and_told_why(
    bad: Bad, load: Running, good: str, rollouts: Rollouts, tmp_path: Path
) -> None:
    env = {**bad.env, "BADLY": str(next(_turns))}
    events = Events(tmp_path / "events")
    ended = rollouts.deploy(
        rollouts.environment(env=env, settings=bad.settings), events=events.file
    )
    assert (ended.code, ended.kind) == (1, "RevertedError"), ended.said
    assert (ended.document["outcome"], ended.document["previous"]) == ("reverted", good)
    assert all(word in ended.error for word in bad.words), ended.error
    failed = next(each for each in events.more() if each["event"] == "StepFailed")
    assert failed["step"] == bad.step, ended.error
    if bad.words[0] == "told to crash":
        assert failed["seconds"] < NOTICED_S
    fixture = load.record.of("fixture")
    if not bad.served:
        assert set(fixture.releases) == {good}
        assert not fixture.lost, str(fixture)
    _as_before(rollouts, good)


def _as_before(rollouts: Rollouts, good: str) -> None:
    """The good release serves, and nothing of a bad one is left on the host."""
    host = rollouts.stack.host()
    (service,) = rollouts.ship("status", SERVICE).must().document["services"]
    assert service["hosts"][0]["release"] == good
    running = host.run(
        *("docker", "ps", "--all", "--filter", f"label=py-cicd.service={SERVICE}"),
        *("--format", '{{.Label "py-cicd.release"}}'),
    )
    assert set(running.split()) == {good}
    folders = host.run("ls", f"/srv/py-cicd/services/{SERVICE}/releases").split()
    assert good in folders
    assert len(folders) <= KEPT


def test_after_bad_releases_the_host_holds_no_more_than_is_kept(rollouts: Rollouts) -> None:
    host = rollouts.stack.host()
    for turn in range(KEPT + 1):
        rollouts.deploy(rollouts.environment(env={"KEPT": f"{turn}"})).must()
    folders = host.run("ls", f"/srv/py-cicd/services/{SERVICE}/releases").split()
    assert len(folders) == KEPT
    images = host.run("docker", "images", "--quiet", "--filter", "reference=*/fixture")
    assert len(set(images.split())) == 1


def test_a_rollback_brings_back_all_of_a_release(rollouts: Rollouts) -> None:
    told = [rollouts.environment(env={"WHOLE": str(n)}) for n in (1, 2)]
    old, new = (rollouts.deploy(each).must().document for each in told)
    host = rollouts.stack.host()
    kept = f"/srv/py-cicd/services/{SERVICE}/releases/{old['release']}"
    texts = host.run("cat", f"{kept}/compose.yml", f"{kept}/replica.yml", f"{kept}/.env")
    with rollouts.registry_down():
        back = rollouts.start(("rollback", SERVICE), told[1]).ended().must().document
    assert (back["release"], back["previous"]) == (old["release"], new["release"])
    assert host.run("cat", f"{kept}/compose.yml", f"{kept}/replica.yml", f"{kept}/.env") == texts
    names = host.run(
        *("docker", "ps", "--filter", f"label=py-cicd.release={old['release']}"),
        *("--format", "{{.Names}}"),
    ).split()
    (seen,) = json.loads(host.run("docker", "inspect", names[0]))
    assert "WHOLE=1" in seen["Config"]["Env"]
    assert seen["Config"]["Image"] == rollouts.image


@pytest.mark.parametrize(
    ("file", "broken", "words"),
    [
        ("deploy/replica.yml", "services: [", "compose"),
        ("deploy/nginx/nginx.conf", "htp {", "nginx"),
    ],
    ids=["compose", "nginx"],
)
def test_a_broken_text_is_told_before_anything_starts(
    file: str, broken: str, words: str, rollouts: Rollouts, tmp_path: Path
) -> None:
    path = rollouts.ship.root / file
    before = path.read_text()
    events = Events(tmp_path / "events")
    env = rollouts.environment(env={"BROKEN": words})
    try:
        path.write_text(f"{before}\n{broken}\n")
        ended = rollouts.deploy(env, events=events.file)
    finally:
        path.write_text(before)
    assert ended.code in (1, 2), ended.said
    assert words in ended.error
    begun = {each["step"] for each in events.more() if each["event"] == "StepDone"}
    assert not begun & {"StartReplicas", "PointTraffic"}
