"""A change on its way through the pipeline, each job run as GitLab's runner does, to the hosts of a sandbox.

Three services share the clone; a change of a library of two of them builds, publishes and deploys those two.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.request import Request, urlopen

import docker
import pytest

from deploy.testing.servers.gitlab import MemoryGitlab, gitlab_server
from e2e.gitlab import Gitlab, Ran, job_of, schema_problems, scripts, shellcheck
from e2e.monorepo import FIXTURE, Monorepo
from e2e.ship import Ship
from e2e.stack import Clone, Stack, state_folder

VERIFY = ("lint", "check", "test")
DEPLOYING = ("plan", "publish", "pipelines")
DUE = ("one", "two")
WRITTEN = ("selection.json", "images.json", "staging.yml", "production.yml")
ALL = ("app", *DUE, "three")
GREETING = "libs/left/greeting.py"
TOOL = "libs/deploy/core/commands/shell.py"
TELEMETRY = "libs/telemetry/__init__.py"


def caches() -> dict[str, str]:
    """This machine's own tools and results, where a runner has those that GitLab's cache brought."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    pants = Path.home() / ".cache" / "pants"
    return {
        "XDG_CACHE_HOME": str(home),
        "PANTS_LOCAL_STORE_DIR": str(pants / "lmdb_store"),
        "PANTS_NAMED_CACHES_DIR": str(pants / "named_caches"),
        "SHIP_CACHE_MB": "1000000",
    }


@dataclass
class Project:
    """A project with a pipeline, GitLab's record of deployments, and the sandbox that it deploys to."""

    monorepo: Monorepo
    gitlab: Gitlab
    api: str
    records: MemoryGitlab
    stack: Stack

    @property
    def root(self) -> Path:
        return self.monorepo.clone.root

    def push(self, files: dict[str, str]) -> str:
        """Commits to the default branch; returns what it was before."""
        before = self.head
        self.monorepo.commit(files)
        self.gitlab.pushed()
        shutil.rmtree(self.root / "dist", ignore_errors=True)
        return before

    @property
    def head(self) -> str:
        git = self.root / ".git" / "refs" / "heads" / "main"
        return git.read_text().strip()

    @property
    def ship(self) -> Ship:
        """./ship as a job has it, so that the jobs' Pants daemon serves it too."""
        ship = self.stack.ship
        return replace(ship, root=self.root, environ={**ship.environ, **caches(), "CI": "true"})

    @property
    def published(self) -> list[str]:
        """The services whose images the last run published."""
        told = json.loads((self.root / "dist/ci/images.json").read_text())
        return [each["service"] for each in told["images"]]

    def run(self, *jobs: str, before: str) -> Ran:
        """Runs jobs of a push's pipeline, in this order."""
        told = {
            "CI_PIPELINE_SOURCE": "push",
            "CI_COMMIT_BRANCH": "main",
            "CI_COMMIT_BEFORE_SHA": before,
            "CI_API_V4_URL": self.api,
            "CI_PROJECT_ID": self.records.project,
            "CI_JOB_TOKEN": self.records.token,
            "SHIP_JOB_IMAGE": f"example.com/job@sha256:{'0' * 64}",
            **caches(),
        }
        return self.gitlab.run(*jobs, variables=told)

    def run_child(self, environment: str, *jobs: str) -> Ran:
        """Runs the pipeline that was generated for an environment, or jobs of it, once GitLab would take it."""
        file = Path("dist", "ci", f"{environment}.yml")
        text = (self.root / file).read_text()
        assert schema_problems([self.root / file]) == ""
        assert [said for line in scripts(text) if (said := shellcheck(line))] == []
        told = {"CI_COMMIT_BRANCH": "main", **caches()}
        return self.gitlab.run(*jobs, "--file", str(file), variables=told)

    def settle(self) -> None:
        """Has every environment verified all that is committed."""
        self.push(greeting("good day"))
        self.record(*ALL)

    def record(self, *services: str) -> None:
        """Records what the confirming jobs of a pipeline are to GitLab."""
        for name in services:
            for where in ("staging", "production"):
                self.records.record(f"{where}/{name}", self.head)

    def greeting(self, service: str) -> str:
        """What a user of the sandbox reads."""
        asked = Request(self.stack.url, headers={"Host": f"{service}.test"})  # noqa: S310
        with urlopen(asked, timeout=10) as answer:  # noqa: S310 - a sandbox of our own
            text: bytes = answer.read()
        return text.decode()


@pytest.fixture(scope="module")
def project(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    monorepo = Monorepo(Clone.of(stack.ship.root, tmp_path_factory.mktemp("project") / "repo"))
    gitlab, records = Gitlab.over(monorepo.clone), MemoryGitlab()
    for name in ("staging", "production"):
        shutil.copytree(
            state_folder(stack.name), monorepo.clone.root / "deploy/environments" / name
        )
        text = stack.environment_file.read_text()
        text = text.replace(f'name = "{stack.name}"', f'name = "{name}"')
        for file in ("known_hosts", "deploy_key", "aws_credentials", "metrics_password"):
            text = text.replace(f'"{file}"', f'"{name}/{file}"')
        for file in ("ca.crt", "metrics.crt", "metrics.key"):
            text = text.replace(f'"{file}"', f'"{name}/{file}"')
        (monorepo.clone.root / "deploy/environments" / f"{name}.toml").write_text(text)
    monorepo.commit(FIXTURE)
    with gitlab_server(records) as api:
        made = Project(monorepo, gitlab, api, records, stack)
        made.gitlab.pushed()
        made.record("app", "one", "two", "three")
        yield made
    monorepo.stop_daemon()


def greeting(words: str) -> dict[str, str]:
    """A change of the library that two services share."""
    return {GREETING: f"GREETING = {json.dumps(words)}\n"}


def test_a_change_of_a_library_is_verified_published_and_live_where_it_is_due(
    project: Project,
) -> None:
    before = project.push(greeting("good day"))
    ran = project.run("plan", *VERIFY, "publish", "pipelines", before=before)
    assert ran.code == 0, ran.said[-6000:]
    assert project.published == list(DUE)
    child = project.run_child("staging")
    assert child.code == 0, child.said[-6000:]
    assert [project.greeting(name) for name in DUE] == ["good day", "good day"]
    written = [(project.root / "dist/ci" / name).read_text() for name in WRITTEN]
    assert not any("three" in text for text in (*written, child.said))
    assert "services/three" not in ran.said
    project.record(*DUE)


def test_what_the_registry_has_is_not_packaged_on_a_machine_that_never_built_it(
    project: Project,
) -> None:
    known = json.loads((project.root / "dist/ci/images.json").read_text())["images"]
    engine = docker.from_env(version="auto")
    for name in DUE:
        for image in engine.images.list(f"py-cicd/{name}"):
            for tag in image.tags:
                engine.images.remove(tag, force=True)
    ended = project.ship("publish", *DUE).must()
    assert ended.document["images"] == known
    assert ended.said.count("not packaged") == len(DUE)
    assert [engine.images.list(f"py-cicd/{name}") for name in DUE] == [[], []]


def test_the_jobs_that_deploy_run_in_the_tool_s_own_image(project: Project) -> None:
    before = project.push(greeting("good afternoon"))
    assert project.run(*DEPLOYING, before=before).code == 0
    text = (project.root / "dist/ci/staging.yml").read_text()
    baked = json.loads((project.root / "dist/ci/images.json").read_text())["tool"]
    assert baked.partition("@")[0].endswith("/ship")
    (built,) = project.ship("build", "ship").must().document["images"]
    for name in DUE:
        told = dict[str, str]()
        for step in ("hold", "promote", "watch", "confirm"):
            job = job_of(text, f"{step} {name}")
            assert job["image"] == baked
            in_image(project, built["id"], job["script"][0], told)
            if step == "hold":
                note = (project.root / f"dist/ci/{name}.env").read_text()
                told |= dict(line.split("=", 1) for line in note.splitlines())
    assert [project.greeting(name) for name in DUE] == ["good afternoon", "good afternoon"]
    project.record(*DUE)


def in_image(project: Project, image: str, script: str, variables: dict[str, str]) -> None:
    """Runs a job's line in the clone as GitLab's Docker executor does: as a script for the image's bash, so quoted.

    https://gitlab.com/gitlab-org/gitlab-runner/-/blob/main/shells/bash.go
    """
    quoted = script.replace("\\", "\\\\").replace("'", "\\'")
    lines = (
        "if set -o | grep pipefail > /dev/null; then set -o pipefail; fi; set -o errexit",
        f": | eval $'{quoted}\\n'",
    )
    given = {"CI": "true", "HOME": "/root", **variables}
    engine = docker.from_env(version="auto")
    volumes = {str(project.root): {"bind": str(project.root), "mode": "rw"}}
    container = engine.containers.run(
        image,
        ["bash", "-c", "\n".join(lines)],
        working_dir=str(project.root),
        volumes=volumes,
        environment=given,
        network_mode="host",
        detach=True,
    )
    try:
        code = container.wait(timeout=300)["StatusCode"]
        assert code == 0, container.logs().decode()[-4000:]
    finally:
        container.remove(force=True)


def test_a_change_that_fails_its_journeys_is_taken_back_while_the_old_release_serves(
    project: Project,
) -> None:
    serving = [project.greeting(name) for name in DUE]
    before = project.push(greeting("an insult"))
    assert project.run(*DEPLOYING, before=before).code == 0
    child = project.run_child("staging")
    assert child.code == 1
    assert "starting shell (promote)" not in child.said
    # GitLab starts what is to run on failure behind stages that it skipped; the emulator doesn't, unless it is named.
    taken_back = project.run_child(
        "staging", *(f"{stage} {name}" for stage in ("e2e", "rollback") for name in DUE)
    )
    assert taken_back.said.count("starting shell (rollback)") == len(DUE), taken_back.said[-6000:]
    assert "FAIL  rollback" not in taken_back.said, taken_back.said[-6000:]
    assert [project.greeting(name) for name in DUE] == serving
    assert "an insult" not in serving
    for name in DUE:
        (service,) = project.ship("status", name).must().document["services"]
        assert (service["candidate"], service["drift"]) == (None, [])


def test_a_change_of_documentation_tests_and_deploys_nothing_and_says_so(
    project: Project,
) -> None:
    project.settle()
    before = project.push({"docs/more.md": "More.\n"})
    ran = project.run(*DEPLOYING, "test", before=before)
    assert ran.code == 0, ran.said[-6000:]
    assert "0 passed, 0 failed" in ran.said
    assert project.published == []
    for environment in ("staging", "production"):
        child = project.run_child(environment)
        assert child.code == 0, child.said[-6000:]
        assert f"{environment}: nothing to deploy: the last verified revision" in child.said


def test_a_change_of_the_deploy_tool_deploys_no_service(project: Project) -> None:
    project.settle()
    text = (project.root / TOOL).read_text()
    before = project.push({TOOL: f"{text}\n\nCHANGED = True\n"})
    ran = project.run(*DEPLOYING, before=before)
    assert ran.code == 0, ran.said[-6000:]
    assert project.published == []
    assert "nothing to deploy" in project.run_child("staging").said


def test_a_runner_without_docker_publishes_nothing_and_says_so(project: Project) -> None:
    project.push(greeting("good evening"))
    nowhere = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    ship = replace(project.ship, environ={**project.ship.environ, **nowhere})
    ended = ship("publish", *DUE, "--out", "dist/ci/images.json")
    assert (ended.code, ended.kind) == (2, "NoEngineError"), ended.said
    assert ended.hint == "./ship doctor --fix"
    assert not (project.root / "dist/ci/images.json").exists()


def test_a_change_of_the_telemetry_deploys_every_service(project: Project) -> None:
    project.settle()
    text = (project.root / TELEMETRY).read_text()
    before = project.push({TELEMETRY: f"{text}\n\nCHANGED = True\n"})
    ran = project.run(*DEPLOYING, before=before)
    assert ran.code == 0, ran.said[-6000:]
    assert project.published == sorted(ALL)
    child = project.run_child("staging")
    assert child.code == 0, child.said[-6000:]
    assert [f"confirm {name}" in child.said for name in ALL] == [True] * len(ALL)
