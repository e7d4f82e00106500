"""Bad releases and broken templates: the live release stays, the error has the reason, old releases are pruned."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.deployer_faults import EventLog
from e2e.live_sandbox import LiveSandbox
from e2e.loadgen.generator import LoadProfile
from e2e.loadgen.process import (
    RunningLoad,
    app_and_fixture_streams,
    running_load,
)
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts
from e2e.target import output_folder

CRASH_DETECTED_WITHIN_S = 10.0
KEPT_RELEASES = 5
_turns = itertools.count(1)


@dataclass(frozen=True)
class BadRelease:
    """A misbehaviour, the step that has to detect it, and words that the error must have."""

    env: Mapping[str, str]
    step: str
    words: tuple[str, ...]
    settings: str = ""
    served: bool = False
    """Whether it may serve users until it is detected."""


QUICK = "health = {startup_deadline_s = 5, healthy_deadline_s = 5}"
WATCHED = "rollout = {watch_s = 12}"
BAD_RELEASES = {
    "crashes at its start": BadRelease(
        {"FIXTURE_CRASH_AT_START": "1"}, "AwaitHealthy", ("configured to crash", "log: ")
    ),
    "is never ready": BadRelease(
        {"FIXTURE_NEVER_READY": "1"}, "AwaitHealthy", ("health check: ",), QUICK
    ),
    "starts too slowly": BadRelease(
        {"FIXTURE_SLOW_START_S": "40"},
        "AwaitHealthy",
        ("did not become healthy within 5 s of its start", "health check: "),
        QUICK,
    ),
    "answers 500": BadRelease(
        {"FIXTURE_ERROR_SHARE": "0.3"}, "AnalyseRelease", ("errors",), WATCHED
    ),
    "crashes after its health check": BadRelease(
        {"FIXTURE_CRASH_AFTER_S": "9"}, "WatchRelease", ("ended", "log"), WATCHED, served=True
    ),
    "leaks until it is killed": BadRelease(
        {"FIXTURE_LEAK_MB_PER_S": "8"}, "WatchRelease", ("memory",), WATCHED, served=True
    ),
}


@pytest.fixture(scope="module")
def good(rollouts: Rollouts) -> str:
    """The release that is live before each test and must stay live."""
    env = {"BADLY": f"{time.time():.0f}"}
    return str(rollouts.deploy(rollouts.environment(env=env)).expect_success().document["release"])


@pytest.fixture
def load(
    sandbox: LiveSandbox, rollouts: Rollouts, good: str, request: pytest.FixtureRequest
) -> Iterator[RunningLoad]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    out = output_folder() / "badly" / f"{name}.tsv"
    streams = app_and_fixture_streams("app.test", HOST_NAME)
    with running_load(LoadProfile(sandbox.url, str(out), streams, rate=50)) as load:
        load.await_rows(20)
        yield load
    assert not load.record.of("app").lost, "another service on the host lost requests"


@pytest.mark.parametrize(
    "bad", BAD_RELEASES.values(), ids=[name.replace(" ", "-") for name in BAD_RELEASES]
)
def test_bad_release_is_rolled_back_with_the_reason(
    bad: BadRelease, load: RunningLoad, good: str, rollouts: Rollouts, tmp_path: Path
) -> None:
    env = {**bad.env, "BADLY": str(next(_turns))}
    events = EventLog(tmp_path / "events")
    result = rollouts.deploy(
        rollouts.environment(env=env, settings=bad.settings), events=events.file
    )
    assert (result.code, result.kind) == (1, "RevertedError"), result.stderr
    assert (result.document["outcome"], result.document["previous"]) == ("reverted", good)
    assert all(word in result.error for word in bad.words), result.error
    failed = next(event for event in events.read_new() if event["event"] == "StepFailed")
    assert failed["step"] == bad.step, result.error
    if bad.words[0] == "configured to crash":
        assert failed["seconds"] < CRASH_DETECTED_WITHIN_S
    fixture = load.record.of("fixture")
    if not bad.served:
        assert set(fixture.releases) == {good}
        assert not fixture.lost, str(fixture)
    _assert_only(rollouts, good)


def _assert_only(rollouts: Rollouts, good: str) -> None:
    """Asserts that the good release is live and the host has no container of another one."""
    host = rollouts.sandbox.host()
    (service,) = rollouts.ship("status", SERVICE).expect_success().document["services"]
    assert service["hosts"][0]["release"] == good
    running = host.run(
        *("docker", "ps", "--all", "--filter", f"label=py-cicd.service={SERVICE}"),
        *("--format", '{{.Label "py-cicd.release"}}'),
    )
    assert set(running.split()) == {good}
    folders = host.run("ls", f"/srv/py-cicd/services/{SERVICE}/releases").split()
    assert good in folders
    assert len(folders) <= KEPT_RELEASES


def test_host_keeps_five_releases_and_one_image(rollouts: Rollouts) -> None:
    host = rollouts.sandbox.host()
    for turn in range(KEPT_RELEASES + 1):
        rollouts.deploy(rollouts.environment(env={"KEPT": f"{turn}"})).expect_success()
    folders = host.run("ls", f"/srv/py-cicd/services/{SERVICE}/releases").split()
    assert len(folders) == KEPT_RELEASES
    images = host.run("docker", "images", "--quiet", "--filter", "reference=*/fixture")
    assert len(set(images.split())) == 1


def test_rollback_restores_files_variables_and_image_without_the_registry(
    rollouts: Rollouts,
) -> None:
    environments = [rollouts.environment(env={"WHOLE": str(n)}) for n in (1, 2)]
    old, new = (rollouts.deploy(env).expect_success().document for env in environments)
    host = rollouts.sandbox.host()
    folder = f"/srv/py-cicd/services/{SERVICE}/releases/{old['release']}"
    files = [f"{folder}/{name}" for name in ("compose.yml", "replica.yml", ".env")]
    texts = host.run("cat", *files)
    with rollouts.registry_down():
        back = (
            rollouts.start(("rollback", SERVICE), environments[1]).wait().expect_success().document
        )
    assert (back["release"], back["previous"]) == (old["release"], new["release"])
    assert host.run("cat", *files) == texts
    names = host.run(
        *("docker", "ps", "--filter", f"label=py-cicd.release={old['release']}"),
        *("--format", "{{.Names}}"),
    ).split()
    (replica,) = json.loads(host.run("docker", "inspect", names[0]))
    assert "WHOLE=1" in replica["Config"]["Env"]
    assert replica["Config"]["Image"] == rollouts.image


@pytest.mark.parametrize(
    ("file", "broken", "words"),
    [
        ("deploy/replica.yml", "services: [", "compose"),
        ("deploy/nginx/nginx.conf", "htp {", "nginx"),
    ],
    ids=["compose", "nginx"],
)
def test_broken_template_fails_the_deploy_before_replicas_start(
    file: str, broken: str, words: str, rollouts: Rollouts, tmp_path: Path
) -> None:
    path = rollouts.ship.root / file
    before = path.read_text()
    events = EventLog(tmp_path / "events")
    env = rollouts.environment(env={"BROKEN": words})
    try:
        path.write_text(f"{before}\n{broken}\n")
        result = rollouts.deploy(env, events=events.file)
    finally:
        path.write_text(before)
    assert result.code in (1, 2), result.stderr
    assert words in result.error
    done = {event["step"] for event in events.read_new() if event["event"] == "StepDone"}
    assert not done & {"StartReplicas", "PointTraffic"}
