"""Runs the jobs of the pipeline for several changes, up to deploys to the hosts of a sandbox.

An emulator of GitLab's runner runs the jobs. The clone has three more services; a change of a library that two of them
use builds, publishes and deploys those two.
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
from e2e.gitlab import (
    EmulatorRun,
    GitlabProject,
    parse_job,
    schema_problems,
    script_lines,
    shellcheck,
)
from e2e.live_sandbox import Clone, LiveSandbox, state_folder
from e2e.monorepo import FIXTURE, Monorepo
from e2e.ship import Ship

VERIFY = ("lint", "check", "test")
DEPLOYING = ("plan", "publish", "pipelines")
DEPENDENTS = ("one", "two")
WRITTEN = ("selection.json", "images.json", "staging.yml", "production.yml")
ALL = ("app", *DEPENDENTS, "three")
GREETING = "libs/left/greeting.py"
TOOL = "libs/deploy/core/commands/shell.py"
TELEMETRY = "libs/telemetry/__init__.py"


def caches() -> dict[str, str]:
    """Returns variables for this machine's own caches, in place of those that a runner gets from GitLab."""
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
    """A project with a pipeline, GitLab's records of deployments, and the sandbox that it deploys to."""

    monorepo: Monorepo
    gitlab: GitlabProject
    api: str
    records: MemoryGitlab
    sandbox: LiveSandbox

    @property
    def root(self) -> Path:
        return self.monorepo.clone.root

    def push(self, files: dict[str, str]) -> str:
        """Commits to the default branch; returns the revision before."""
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
        """./ship with a job's variables, so that it uses the same Pants daemon as the jobs."""
        ship = self.sandbox.ship
        return replace(ship, root=self.root, environ={**ship.environ, **caches(), "CI": "true"})

    @property
    def published(self) -> list[str]:
        """The services whose images the last run published."""
        document = json.loads((self.root / "dist/ci/images.json").read_text())
        return [image["service"] for image in document["images"]]

    def run(self, *jobs: str, before: str) -> EmulatorRun:
        """Runs these jobs of a push's pipeline, in this order."""
        variables = {
            "CI_PIPELINE_SOURCE": "push",
            "CI_COMMIT_BRANCH": "main",
            "CI_COMMIT_BEFORE_SHA": before,
            "CI_API_V4_URL": self.api,
            "CI_PROJECT_ID": self.records.project,
            "CI_JOB_TOKEN": self.records.token,
            "SHIP_JOB_IMAGE": f"example.com/job@sha256:{'0' * 64}",
            **caches(),
        }
        return self.gitlab.run(*jobs, variables=variables)

    def run_child(self, environment: str, *jobs: str) -> EmulatorRun:
        """Checks the pipeline that was generated for an environment, then runs it, or only these jobs of it."""
        file = Path("dist", "ci", f"{environment}.yml")
        text = (self.root / file).read_text()
        assert schema_problems([self.root / file]) == ""
        assert [problem for line in script_lines(text) if (problem := shellcheck(line))] == []
        variables = {"CI_COMMIT_BRANCH": "main", **caches()}
        return self.gitlab.run(*jobs, "--file", str(file), variables=variables)

    def verify_all(self) -> None:
        """Records that every environment has verified everything that is committed."""
        self.push(greeting("good day"))
        self.record(*ALL)

    def record(self, *services: str) -> None:
        """Records the deployments that GitLab records when a pipeline's confirm jobs succeed."""
        for name in services:
            for environment in ("staging", "production"):
                self.records.record(f"{environment}/{name}", self.head)

    def greeting(self, service: str) -> str:
        """Returns what the service answers to a user of the sandbox."""
        request = Request(self.sandbox.url, headers={"Host": f"{service}.test"})  # noqa: S310
        with urlopen(request, timeout=10) as answer:  # noqa: S310 - a sandbox of our own
            text: bytes = answer.read()
        return text.decode()


@pytest.fixture(scope="module")
def project(sandbox: LiveSandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    monorepo = Monorepo(Clone.of(sandbox.ship.root, tmp_path_factory.mktemp("project") / "repo"))
    gitlab, records = GitlabProject.over(monorepo.clone), MemoryGitlab()
    for name in ("staging", "production"):
        shutil.copytree(
            state_folder(sandbox.name), monorepo.clone.root / "deploy/environments" / name
        )
        text = sandbox.environment_file.read_text()
        text = text.replace(f'name = "{sandbox.name}"', f'name = "{name}"')
        for file in ("known_hosts", "deploy_key", "aws_credentials", "metrics_password"):
            text = text.replace(f'"{file}"', f'"{name}/{file}"')
        for file in ("ca.crt", "metrics.crt", "metrics.key"):
            text = text.replace(f'"{file}"', f'"{name}/{file}"')
        (monorepo.clone.root / "deploy/environments" / f"{name}.toml").write_text(text)
    monorepo.commit(FIXTURE)
    with gitlab_server(records) as api:
        made = Project(monorepo, gitlab, api, records, sandbox)
        made.gitlab.pushed()
        made.record("app", "one", "two", "three")
        yield made
    monorepo.stop_daemon()


def greeting(words: str) -> dict[str, str]:
    """Returns a change of the library that two services share."""
    return {GREETING: f"GREETING = {json.dumps(words)}\n"}


def test_change_of_a_library_is_verified_published_and_deployed_for_its_dependents(
    project: Project,
) -> None:
    before = project.push(greeting("good day"))
    run = project.run("plan", *VERIFY, "publish", "pipelines", before=before)
    assert run.code == 0, run.output[-6000:]
    assert project.published == list(DEPENDENTS)
    child = project.run_child("staging")
    assert child.code == 0, child.output[-6000:]
    assert [project.greeting(name) for name in DEPENDENTS] == ["good day", "good day"]
    written = [(project.root / "dist/ci" / name).read_text() for name in WRITTEN]
    assert not any("three" in text for text in (*written, child.output))
    assert "services/three" not in run.output
    project.record(*DEPENDENTS)


def test_image_that_the_registry_has_is_not_packaged_again(
    project: Project,
) -> None:
    known = json.loads((project.root / "dist/ci/images.json").read_text())["images"]
    engine = docker.from_env(version="auto")
    for name in DEPENDENTS:
        for image in engine.images.list(f"py-cicd/{name}"):
            for tag in image.tags:
                engine.images.remove(tag, force=True)
    result = project.ship("publish", *DEPENDENTS).expect_success()
    assert result.document["images"] == known
    assert result.stderr.count("not packaged") == len(DEPENDENTS)
    assert [engine.images.list(f"py-cicd/{name}") for name in DEPENDENTS] == [[], []]


def test_deploy_jobs_run_in_the_published_image_of_the_tool(project: Project) -> None:
    before = project.push(greeting("good afternoon"))
    assert project.run(*DEPLOYING, before=before).code == 0
    text = (project.root / "dist/ci/staging.yml").read_text()
    tool_image = json.loads((project.root / "dist/ci/images.json").read_text())["tool"]
    assert tool_image.partition("@")[0].endswith("/ship")
    (built,) = project.ship("build", "ship").expect_success().document["images"]
    for name in DEPENDENTS:
        variables = dict[str, str]()
        for step in ("hold", "promote", "watch", "confirm"):
            job = parse_job(text, f"{step} {name}")
            assert job["image"] == tool_image
            run_in_image(project, built["id"], job["script"][0], variables)
            if step == "hold":
                dotenv = (project.root / f"dist/ci/{name}.env").read_text()
                variables |= dict(line.split("=", 1) for line in dotenv.splitlines())
    assert [project.greeting(name) for name in DEPENDENTS] == ["good afternoon", "good afternoon"]
    project.record(*DEPENDENTS)


def run_in_image(project: Project, image: str, script: str, variables: dict[str, str]) -> None:
    """Runs a job's script line in an image, quoted for the image's bash as GitLab's Docker executor does.

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


def test_change_that_fails_its_journeys_is_rolled_back_and_the_old_release_serves(
    project: Project,
) -> None:
    serving = [project.greeting(name) for name in DEPENDENTS]
    before = project.push(greeting("an insult"))
    assert project.run(*DEPLOYING, before=before).code == 0
    child = project.run_child("staging")
    assert child.code == 1
    assert "starting shell (promote)" not in child.output
    # GitLab runs an on_failure job even after skipped stages. The emulator does so only if the job is named.
    rollback = project.run_child(
        "staging", *(f"{stage} {name}" for stage in ("e2e", "rollback") for name in DEPENDENTS)
    )
    assert rollback.output.count("starting shell (rollback)") == len(DEPENDENTS), rollback.output[
        -6000:
    ]
    assert "FAIL  rollback" not in rollback.output, rollback.output[-6000:]
    assert [project.greeting(name) for name in DEPENDENTS] == serving
    assert "an insult" not in serving
    for name in DEPENDENTS:
        (service,) = project.ship("status", name).expect_success().document["services"]
        assert (service["candidate"], service["drift"]) == (None, [])


def test_change_of_documentation_runs_no_test_and_deploys_nothing(
    project: Project,
) -> None:
    project.verify_all()
    before = project.push({"NOTES.md": "More.\n"})
    run = project.run(*DEPLOYING, "test", before=before)
    assert run.code == 0, run.output[-6000:]
    assert "0 passed, 0 failed" in run.output
    assert project.published == []
    for environment in ("staging", "production"):
        child = project.run_child(environment)
        assert child.code == 0, child.output[-6000:]
        assert f"{environment}: nothing to deploy: the last verified revision" in child.output


def test_change_of_the_deploy_tool_deploys_no_service(project: Project) -> None:
    project.verify_all()
    text = (project.root / TOOL).read_text()
    before = project.push({TOOL: f"{text}\n\nCHANGED = True\n"})
    run = project.run(*DEPLOYING, before=before)
    assert run.code == 0, run.output[-6000:]
    assert project.published == []
    assert "nothing to deploy" in project.run_child("staging").output


def test_publish_without_docker_is_refused_and_writes_nothing(project: Project) -> None:
    project.push(greeting("good evening"))
    no_engine = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    ship = replace(project.ship, environ={**project.ship.environ, **no_engine})
    result = ship("publish", *DEPENDENTS, "--out", "dist/ci/images.json")
    assert (result.code, result.kind) == (2, "NoEngineError"), result.stderr
    assert result.hint == "./ship doctor --fix"
    assert not (project.root / "dist/ci/images.json").exists()


def test_change_of_the_telemetry_library_deploys_every_service(project: Project) -> None:
    project.verify_all()
    text = (project.root / TELEMETRY).read_text()
    before = project.push({TELEMETRY: f"{text}\n\nCHANGED = True\n"})
    run = project.run(*DEPLOYING, before=before)
    assert run.code == 0, run.output[-6000:]
    assert project.published == sorted(ALL)
    child = project.run_child("staging")
    assert child.code == 0, child.output[-6000:]
    assert [f"confirm {name}" in child.output for name in ALL] == [True] * len(ALL)
