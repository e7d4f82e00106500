import json
from contextlib import nullcontext
from dataclasses import replace

import pytest

from deploy.core.commands.sockets import Listener
from deploy.core.config import JobImage, Service
from deploy.core.contract import PAGE
from deploy.core.images.oci import (
    UNKNOWN,
    BuiltImage,
    Stamp,
)
from deploy.core.ports import Answer
from deploy.errors import BuildError, RegistryAuthError, RegistryError, TagTakenError
from deploy.run.images import (
    BuildContext,
    build,
    ensure_published,
    job_test,
    publish,
    publish_base,
    smoke_test,
)
from deploy.testing.build_context import (
    BuildRegistry,
    MemoryBuild,
    MemoryCache,
    MemoryContainer,
    MemoryEngine,
)
from deploy.testing.fleet.clock import SimulatedClock

JOB_IMAGE = JobImage(
    "ship", "deploy/ship:image", ("python", "ship"), ("git --version", "ship --help")
)
SERVICE = Service("app", "services/app:image", env={"LOG_LEVEL": "info"})
VERSION = json.dumps({"service": "app", "release": "smoke-test"}).encode()


class BuildMachine:
    """A build of a service, in memory; its image passes the smoke test."""

    def __init__(self, registry: BuildRegistry | None = None, *, slim: bool = True) -> None:
        self.messages: list[str] = []
        self.registry = registry or BuildRegistry()
        self.container = MemoryContainer({"/readyz": Answer(200), "/version": Answer(200, VERSION)})
        self.engine = MemoryEngine(self.registry, self.container, slim=slim)
        self.work = MemoryBuild(self.engine)
        self.bases = 0
        self.context = BuildContext(
            packager=self.work,
            history=self.work,
            cache=MemoryCache(),
            engine=self.engine,
            probe=self.container,
            clock=SimulatedClock(),
            say=self.messages.append,
            ensure_base=self._base,
            smoke_test=smoke_test,
        )

    def _base(self) -> None:
        self.bases += 1

    def build(self) -> BuiltImage:
        return build(SERVICE, self.context)

    def publish(self) -> str:
        return publish(self.build(), self.engine, self.registry, self.messages.append)

    def ensure_published(self) -> str:
        return ensure_published(SERVICE, self.context, self.registry)

    def elsewhere(self, **changed: object) -> "BuildMachine":
        """Returns another machine with the same registry, an empty cache and a checkout with these differences."""
        other = BuildMachine(self.registry)
        other.work = replace(other.work, **changed)  # type: ignore[arg-type]
        other.context = replace(other.context, packager=other.work, history=other.work)
        return other


def test_image_is_named_after_its_content() -> None:
    machine = BuildMachine()
    image = machine.build()
    assert image.id == machine.engine.id_of(image.reference)
    assert image.reference == f"py-cicd/app:{image.tag}"
    assert image.revision == machine.work.stamp.revision
    assert set(machine.engine.images) == {"py-cicd/app:packaged", image.reference}
    assert machine.engine.claimed == ["py-cicd/app:packaged"]


def test_image_that_another_build_made_before_is_not_claimed() -> None:
    machine = BuildMachine()
    machine.work.package("")
    machine.build()
    assert machine.engine.claimed == []


def test_image_does_not_depend_on_the_time_or_engine_of_the_build() -> None:
    machine, other = BuildMachine(), BuildMachine(slim=False)
    other.work.packaged = 41
    assert machine.build() == other.build()


def test_other_content_or_revision_gives_another_image() -> None:
    ids = []
    for change in ({}, {"content": "two"}, {"stamp": Stamp("0" * 40, 1)}, {"stamp": UNKNOWN}):
        machine = BuildMachine()
        machine.work = replace(machine.work, **change)
        machine.context = replace(machine.context, packager=machine.work, history=machine.work)
        ids.append(machine.build().id)
    assert len(set(ids)) == 4


def test_unchanged_checkout_is_not_built_again() -> None:
    machine = BuildMachine()
    assert machine.build() == machine.build()
    assert (machine.work.packaged, machine.bases) == (1, 1)


def test_image_removed_from_the_engine_is_built_again() -> None:
    machine = BuildMachine()
    machine.engine.untag(machine.build().reference)
    machine.build()
    assert machine.work.packaged == 2


def test_docs_commit_builds_the_same_image_and_does_not_test_it_again() -> None:
    machine = BuildMachine()
    first = machine.build()
    machine.work.now = "another head+another tree"
    assert machine.build() == first
    assert (machine.work.packaged, len(machine.engine.started_containers)) == (2, 1)


def test_checkout_without_git_is_built_every_time() -> None:
    machine = BuildMachine()
    machine.work.now, machine.work.stamp = None, UNKNOWN
    assert machine.build() == machine.build()
    assert machine.work.packaged == 2


def test_smoke_test_sets_the_environment_of_a_replica() -> None:
    machine = BuildMachine()
    machine.build()
    ((_, environment),) = machine.engine.started_containers
    assert environment["LOG_LEVEL"] == "info"
    assert environment["PORT"] == "8080"
    assert {"SERVICE", "RELEASE", "REVISION", "CONFIG_HASH", "METRICS_PORT"} <= set(environment)
    assert environment["DRAIN_NOTICE_S"] == "0"
    assert machine.container.stopped


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ({"answers": {"/readyz": Answer(503)}}, "/readyz answers 503 60 s after the start"),
        ({"answers": {}, "running": False}, "the container exited during startup"),
        ({"answers": {"/readyz": Answer(200), "/version": Answer(500)}}, "/version answered 500"),
        ({"exit_code": 137}, "it stopped with exit code 137"),
    ],
)
def test_image_that_fails_its_smoke_test_gets_no_name(fault: dict[str, object], what: str) -> None:
    machine = BuildMachine()
    for name, value in fault.items():
        setattr(machine.container, name, value)
    with pytest.raises(BuildError) as raised:
        machine.publish()
    assert what in raised.value.message
    assert raised.value.message.endswith("\n  log: line 1\n  log: line 2")
    assert set(machine.engine.images) == {"py-cicd/app:packaged"}
    assert machine.engine.pushed == []


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ({"answers": {"/readyz": Answer(404)}}, "it answers 404 to its health check, GET /readyz"),
        (
            {"answers": {}, "listening": (Listener(5000, "::"),)},
            "it listens on [::]:5000, and not on port 8080",
        ),
        (
            {"answers": {"/readyz": Answer(200), "/version": Answer(404)}},
            "it is healthy but answers 404 to GET /version",
        ),
    ],
)
def test_image_that_can_t_become_ready_fails_at_once_with_the_page(
    fault: dict[str, object], what: str
) -> None:
    machine = BuildMachine()
    for name, value in fault.items():
        setattr(machine.container, name, value)
    begun = machine.context.clock.monotonic()
    with pytest.raises(BuildError) as raised:
        machine.publish()
    assert what in raised.value.message
    assert PAGE in raised.value.message
    assert machine.context.clock.monotonic() - begun < 10


def test_exception_of_a_smoke_test_is_named_with_the_services_lines() -> None:
    machine = BuildMachine()
    machine.container.running, machine.container.answers = False, {}
    machine.container.log = """Traceback (most recent call last):
  File "/opt/app/lib/python3.13/site-packages/gunicorn/util.py", line 370, in import_app
    __import__(module)
  File "/opt/app/lib/python3.13/site-packages/app/web.py", line 3, in <module>
    from flask import Flaks
ImportError: cannot import name 'Flaks' from 'flask'
"""
    with pytest.raises(BuildError) as raised:
        machine.publish()
    head, *details = raised.value.message.splitlines()
    assert head.endswith(
        "ImportError: cannot import name 'Flaks' from 'flask'; nothing was published"
    )
    assert "    app/web.py:3 in <module>: from flask import Flaks" in details
    assert not any("gunicorn/util.py" in line for line in details if "log:" not in line)


@pytest.mark.parametrize(("exit_code", "named"), [(0, True), (127, False)])
def test_job_image_gets_its_name_only_if_its_commands_succeed(exit_code: int, named: bool) -> None:
    machine = BuildMachine()
    machine.container.exit_code = exit_code
    context = replace(machine.context, smoke_test=job_test(JOB_IMAGE))
    failure = r"the image ship failed \(exit code 127\); nothing was published\. Output:\nline 1"
    with nullcontext() if named else pytest.raises(BuildError, match=failure):
        build(JOB_IMAGE.service, context)
    ((_, started),) = machine.engine.started_containers
    assert started["argv"] == "sh -c git --version && ship --help"
    name = "py-cicd/ship:"
    assert any(each.startswith(name) for each in machine.engine.images) is named


def test_tag_of_another_image_is_refused() -> None:
    machine = BuildMachine()
    image = machine.build()
    machine.registry.digests[f"app:{image.tag}"] = f"sha256:{'e' * 64}"
    machine.registry.configurations[f"app:{image.tag}"] = f"sha256:{'f' * 64}"
    with pytest.raises(
        TagTakenError, match=r"has another image under app:.*; nothing was pushed"
    ) as error:
        machine.publish()
    assert (error.value.exit_code, machine.engine.pushed) == (2, [])
    machine.registry.configurations[f"app:{image.tag}"] = image.id
    assert machine.publish().endswith(f"@sha256:{'e' * 64}")


def test_published_reference_has_the_registrys_digest() -> None:
    machine = BuildMachine()
    reference = machine.publish()
    image = machine.build()
    assert (
        reference == f"{machine.registry.name}/app@{machine.registry.digests[f'app:{image.tag}']}"
    )
    assert machine.registry.repositories == ["app"]
    assert not any(name.startswith("127.0.0.1") for name in machine.engine.images)


def test_image_in_the_registry_is_not_pushed_again() -> None:
    machine = BuildMachine()
    assert machine.publish() == machine.publish()
    assert len(machine.engine.pushed) == 1


def test_machine_that_never_built_the_image_uses_the_registrys() -> None:
    machine = BuildMachine()
    reference = machine.ensure_published()
    other = machine.elsewhere()
    assert other.ensure_published() == reference
    assert (other.work.packaged, other.bases, other.engine.pushed) == (0, 0, [])
    assert "not packaged" in other.messages[-1]


@pytest.mark.parametrize(
    "changed", [{"content": "two"}, {"stamp": Stamp("0" * 40, 1)}, {"dirty": True}]
)
def test_changed_inputs_are_packaged(changed: dict[str, object]) -> None:
    machine = BuildMachine()
    machine.ensure_published()
    other = machine.elsewhere(**changed)
    other.ensure_published()
    assert other.work.packaged == 1


def test_published_image_has_both_tags() -> None:
    machine = BuildMachine()
    reference = machine.ensure_published()
    own, inputs = machine.engine.pushed
    assert (own, inputs[: len("app:inputs-")]) == (f"app:{machine.build().tag}", "app:inputs-")
    assert {
        f"{machine.registry.name}/app@{each}" for each in machine.registry.digests.values()
    } == {reference}
    assert machine.ensure_published() == reference
    assert len(machine.engine.pushed) == 2


def test_image_of_a_dirty_checkout_has_no_inputs_tag() -> None:
    machine = BuildMachine()
    machine.work.dirty = True
    machine.ensure_published()
    assert machine.engine.pushed == [f"app:{machine.build().tag}"]


def test_refused_push_reports_that_nothing_was_published() -> None:
    machine = BuildMachine()
    machine.engine.refuses_push = True
    with pytest.raises(RegistryError, match="denied; nothing was published"):
        machine.publish()
    assert not any(name.startswith("127.0.0.1") for name in machine.engine.images)


def test_login_that_expires_during_the_push_is_reported_as_such() -> None:
    machine = BuildMachine()
    machine.engine.refuses_push = True
    machine.registry.expires_after = 1
    with pytest.raises(RegistryAuthError, match="nothing was pushed") as error:
        machine.publish()
    assert (error.value.exit_code, machine.engine.pushed) == (2, [])


def _beside(machine: BuildMachine) -> BuildMachine:
    """Returns a build of the same commit in another checkout that uses the same engine and registry."""
    other = BuildMachine(machine.registry)
    other.engine = machine.engine
    other.work = replace(other.work, engine=machine.engine)
    other.context = replace(
        other.context, packager=other.work, history=other.work, engine=machine.engine
    )
    return other


def test_two_checkouts_can_build_the_same_commit_at_once() -> None:
    machine = BuildMachine()
    other = _beside(machine)
    built: list[BuiltImage] = []

    def smoke_test_meanwhile(service: Service, image: str, context: BuildContext) -> None:
        built.append(other.build())
        smoke_test(service, image, context)

    machine.context = replace(machine.context, smoke_test=smoke_test_meanwhile)
    assert machine.build() == built[0]
    assert not [name for name in machine.engine.images if "untried" in name]


def test_two_checkouts_can_publish_the_same_commit_at_once() -> None:
    machine = BuildMachine()
    other = _beside(machine)
    published: list[str] = []
    machine.engine.before_push = lambda: published.append(other.ensure_published())
    assert machine.ensure_published() == published[0]
    assert len(machine.engine.pushed) == len(set(machine.engine.pushed)) == 2
    assert any("another publisher" in line for line in machine.messages)
    assert not any(name.startswith("127.0.0.1") for name in machine.engine.images)


def test_publisher_on_another_machine_may_be_faster() -> None:
    machine = BuildMachine()
    other = machine.elsewhere()
    published: list[str] = []
    machine.engine.before_push = lambda: published.append(other.ensure_published())
    assert machine.ensure_published() == published[0]


def test_other_image_pushed_under_the_tag_meanwhile_is_refused() -> None:
    machine = BuildMachine()
    image = machine.build()

    def push_another() -> None:
        machine.registry.digests[f"app:{image.tag}"] = f"sha256:{'e' * 64}"
        machine.registry.configurations[f"app:{image.tag}"] = f"sha256:{'f' * 64}"

    machine.engine.before_push = push_another
    with pytest.raises(TagTakenError):
        machine.publish()


def test_push_is_repeated_if_a_publisher_that_failed_removed_its_name() -> None:
    machine = BuildMachine()
    image = machine.build()
    remote = f"{machine.registry.push_name}/app:{image.tag}"
    machine.engine.before_push = lambda: machine.engine.untag(remote)
    assert machine.publish()
    assert machine.engine.pushed == [f"app:{image.tag}"]


def test_base_is_built_only_if_the_registry_lacks_its_key() -> None:
    machine = BuildMachine()
    machine.engine.images["py-cicd/base-edge:0123"] = b"{}"
    built: list[str] = []

    def ensure() -> str:
        built.append("edge")
        return "py-cicd/base-edge:0123"

    def published() -> str:
        return publish_base(
            "edge",
            "0123",
            ensure,
            lambda: machine.engine,
            machine.registry,
            machine.messages.append,
        )

    assert published() == published()
    assert built == ["edge"]
    assert machine.engine.pushed == ["edge:0123"]
