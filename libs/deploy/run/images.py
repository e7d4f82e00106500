"""Builds, smoke-tests and publishes images, and returns the references that a rollout runs.

An image's id depends on its content alone (docs/adr/0002). The first twelve digits of the id are its tag, and an image
that the registry has under that tag is not pushed again. A second tag is computed from the image's inputs, so that a
machine that never built the image finds it without a build (docs/adr/0025).
"""

from __future__ import annotations

import io
import json
import secrets
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.core.config import JobImage, Service
from deploy.core.contract import (
    SILENT_AFTER_S,
    Certainty,
    wrong_answer,
    wrong_port,
    wrong_version,
)
from deploy.core.images.inputs_tag import BUILD, inputs_tag
from deploy.core.images.oci import (
    ArchivedLayer,
    BuiltImage,
    Stamp,
    digest_of,
    labels_of,
    normalised_config,
    short_id,
    write_archive,
)
from deploy.core.images.ports import (
    Cache,
    ContainerEngine,
    ImageRegistry,
    Packager,
    SourceHistory,
    StartedContainer,
)
from deploy.core.ports import Answer, Clock, Probe, Say
from deploy.core.reports.exceptions import details_of, last_exception, shown_line
from deploy.errors import (
    BuildError,
    EngineError,
    ImageNotFoundError,
    RegistryError,
    TagTakenError,
)

STOP_S = 40
READ_LINES, LOG_LINES = 300, 20
"""How many log lines are searched for an exception, and how many are shown."""

PUSH_ATTEMPTS = 3


@dataclass(frozen=True)
class BuildContext:
    """What building an image depends on.

    `ensure_base` brings the base images into the engine; `smoke_test` tests a new image before it gets its name and
    raises BuildError.
    """

    packager: Packager
    history: SourceHistory
    cache: Cache
    engine: ContainerEngine
    probe: Probe
    clock: Clock
    say: Say
    ensure_base: Callable[[], object]
    smoke_test: Callable[[Service, str, BuildContext], None]


def build(service: Service, context: BuildContext, inputs: Sequence[str] = ()) -> BuiltImage:
    """Returns the service's image of this checkout, smoke-tested, in the engine. Raises BuildError, EngineError.

    If no file of the checkout changed since the last build, its image is returned. `inputs` are the image's files if
    the caller knows them.
    """
    state = context.history.state()
    key = _key(service, state)
    if state and (built := _cached(context, key)):
        return built
    context.ensure_base()
    context.say(f"{service.name}: packaging {service.image}")
    known = context.engine.ids()
    packaged = context.packager.package(service.image)
    if packaged not in known:
        context.engine.claim(packaged)
    stamp = context.history.last_change(inputs or context.packager.inputs(service.image))
    image = _normalised(service, packaged, stamp, context)
    if state and context.history.state() == state:  # else a file changed during the build
        context.cache.put(key, json.dumps(asdict(image)))
    return image


def is_built(service: Service, context: BuildContext) -> bool:
    """Returns whether `build` would return an image that was built before. Raises EngineError."""
    state = context.history.state()
    return state is not None and _cached(context, _key(service, state)) is not None


def _key(service: Service, state: str | None) -> str:
    return json.dumps([service.name, service.image, service.source, state])


def _cached(context: BuildContext, key: str) -> BuiltImage | None:
    text = context.cache.get(key)
    if text is None:
        return None
    built = BuiltImage(**json.loads(text))
    return built if context.engine.has(built.reference) else None


def _normalised(service: Service, packaged: str, stamp: Stamp, context: BuildContext) -> BuiltImage:
    """Loads the packaged image once more, with a configuration that depends on its content alone."""
    engine = context.engine
    labels = labels_of(stamp, title=service.name, source=service.source)
    config = normalised_config(engine.configuration(packaged), created=stamp.created, labels=labels)
    image_id = digest_of(config)
    repository = f"py-cicd/{service.name}"
    reference = f"{repository}:{short_id(image_id)}"
    # An image gets this name only after its smoke test, so one that has it needs no test.
    if not engine.has(reference):
        # A name of its own: another checkout may build the same image in this engine now.
        untested = f"{repository}:untried-{short_id(image_id)}-{secrets.token_hex(4)}"
        _load(engine, packaged, config, untested)
        try:
            context.smoke_test(service, untested, context)
            engine.tag(untested, repository, short_id(image_id))
        finally:
            engine.untag(untested)
    return BuiltImage(
        service.name, image_id, reference, engine.size_bytes(reference), stamp.revision
    )


def _load(engine: ContainerEngine, packaged: str, config: bytes, reference: str) -> None:
    diff_ids: list[str] = json.loads(config)["rootfs"]["diff_ids"]
    archive = io.BytesIO()
    # The engine has every layer, so the archive only names them.
    write_archive(config, [ArchivedLayer(diff_id) for diff_id in diff_ids], reference, archive)
    archive.seek(0)
    try:
        engine.load(archive)
    except EngineError:  # an engine with another image store needs the layers' content
        with tempfile.TemporaryDirectory(prefix="py-cicd-") as folder, ExitStack() as open_files:
            paths = engine.layers(packaged, Path(folder))
            layers = [
                ArchivedLayer(
                    diff_id, path.stat().st_size, open_files.enter_context(path.open("rb"))
                )
                for diff_id, path in zip(diff_ids, paths, strict=True)
            ]
            whole = open_files.enter_context(tempfile.TemporaryFile())
            write_archive(config, layers, reference, whole)
            whole.seek(0)
            engine.load(whole)


def smoke_test(service: Service, image: str, context: BuildContext) -> None:
    """Starts a service's image as production does and checks readiness, /version and a clean stop.

    Raises BuildError with the container's last lines.
    """
    context.say(f"{service.name}: smoke test, started as in production")
    environment = {
        **service.env,
        "SERVICE": service.name,
        "RELEASE": "smoke-test",
        "REVISION": "unknown",
        "CONFIG_HASH": "none",
        "PORT": str(service.port),
        "METRICS_PORT": str(service.metrics_port),
        "DRAIN_NOTICE_S": "0",  # no edge sends requests here that would need the time to go elsewhere
    }
    with context.engine.started(
        image, environment, port=service.port, memory=service.memory
    ) as container:
        _await_ready(service, container, context)
        version = context.probe.get(f"{container.url}/version")
        if wrong := wrong_version(version, "/version"):
            raise _failed(service, container, f"it {wrong}")
        if _identity(version) != (service.name, "smoke-test"):
            answer = f"/version answered {version.status} {version.body[:200]!r}"
            raise _failed(service, container, answer)
        if (code := container.stop(STOP_S)) not in {0, 143}:
            raise _failed(service, container, f"it stopped with exit code {code}")


def job_test(image: JobImage) -> Callable[[Service, str, BuildContext], None]:
    """Returns the smoke test of a job image: runs its commands in it. The test raises BuildError with their output."""

    def test(service: Service, reference: str, context: BuildContext) -> None:
        context.say(f"{service.name}: smoke test, {len(image.commands)} commands in the image")
        code, output = context.engine.run(reference, ["sh", "-c", " && ".join(image.commands)])
        if code:
            raise BuildError(
                f"a command that must succeed in the image {service.name} failed (exit code {code}); nothing was "
                f"published. Output:\n{output}",
                hint=f"correct deploy/base/{image.bases[-1]} or deploy/images.toml, then ./ship build {service.name}",
            )

    return test


def _await_ready(service: Service, container: StartedContainer, context: BuildContext) -> None:
    clock, path = context.clock, service.health.path
    begun = clock.monotonic()
    url, certainty, silent = f"{container.url}{path}", Certainty(), Certainty()
    while (answer := context.probe.get(url, timeout_s=2.0)).status != 200:
        now = clock.monotonic()
        if not container.running:
            raise _failed(service, container, "the container exited during startup")
        if certainty.reached(wrong := wrong_answer(answer, path), now):
            raise _failed(service, container, f"it {wrong}")
        # The engine accepts connections to a published port also if nothing listens behind it.
        if answer.status == 0 and now - begun >= SILENT_AFTER_S:
            wrong = wrong_port(container.listeners(), service.port, service.metrics_port)
            if silent.reached(wrong, now):
                raise _failed(service, container, f"it {wrong}")
        if now - begun > service.health.startup_deadline_s:
            status = f"answers {answer.status}" if answer.status else "doesn't answer"
            within = f"{service.health.startup_deadline_s:g} s after the start"
            raise _failed(service, container, f"{path} {status} {within}")
        clock.sleep(0.1)


def _identity(answer: Answer) -> tuple[object, object] | None:
    """Returns the service and release that /version reports, None for any other answer."""
    try:
        reported = json.loads(answer.body)
        return reported["service"], reported["release"]
    except (ValueError, KeyError, TypeError):
        return None


def _failed(service: Service, container: StartedContainer, what: str) -> BuildError:
    lines = [line for line in container.last_lines(READ_LINES).splitlines() if line.strip()]
    raised = last_exception(lines)
    cause = f": {raised}" if raised else ""
    log = [f"log: {shown_line(line)}" for line in lines[-LOG_LINES:]]
    details = "\n  ".join(["", *details_of(raised, service.name), *log])
    return BuildError(
        f"the image of {service.name} failed its smoke test: {what}{cause}; nothing was published{details}",
        hint=f"correct the service, then ./ship build {service.name}",
    )


def ensure_published(service: Service, context: BuildContext, registry: ImageRegistry) -> str:
    """Returns the service's image of this checkout as `name@sha256:...`. Builds and pushes it if the registry lacks it.

    Raises the errors of `build` and `publish`.
    """
    engine, say = context.engine, context.say
    state = context.history.state()
    if state and (built := _cached(context, _key(service, state))):
        return publish(built, engine, registry, say)
    inputs = context.packager.inputs(service.image)
    committed = context.history.committed((*inputs, *BUILD))
    if committed is None:  # uncommitted inputs have no inputs tag
        return publish(build(service, context, inputs), engine, registry, say)
    tag = inputs_tag(service, context.history.last_change(inputs), committed)
    if (digest := registry.digest_of(service.name, tag)) is not None:
        say(f"{service.name}: not packaged, {registry.name} has it as {tag}")
        return f"{registry.name}/{service.name}@{digest}"
    image = build(service, context, inputs)
    reference = publish(image, engine, registry, say)
    if context.history.state() == state:  # else a file changed during the build
        _push(service.name, tag, image.reference, engine, registry, say)
    return reference


def publish(image: BuiltImage, engine: ContainerEngine, registry: ImageRegistry, say: Say) -> str:
    """Pushes an image that the registry lacks and returns `name@sha256:...`.

    Raises RegistryError, EngineError, and TagTakenError if the registry has another image under this image's tag.
    """
    _refuse_taken_tag(image, registry)
    reference, was_first = _push(image.service, image.tag, image.reference, engine, registry, say)
    if not was_first:
        _refuse_taken_tag(image, registry)
    return reference


def _refuse_taken_tag(image: BuiltImage, registry: ImageRegistry) -> None:
    published_id = registry.configuration_of(image.service, image.tag)
    if published_id and published_id != image.id:
        raise TagTakenError(
            f"{registry.name} has another image under {image.service}:{image.tag} ({published_id}, "
            f"not {image.id}); nothing was pushed",
            hint="somebody pushed under this tag by hand: find out who, then delete the tag in ECR",
        )


def publish_base(
    name: str,
    key: str,
    ensure: Callable[[], str],
    engine: Callable[[], ContainerEngine],
    registry: ImageRegistry,
    say: Say,
) -> str:
    """Pushes a base image that hosts run (edge, prometheus) unless the registry has it; returns `name@sha256:...`.

    `key` is the tag, `ensure` builds the image if needed and returns its name in the engine.
    """
    if (digest := registry.digest_of(name, key)) is not None:
        return f"{registry.name}/{name}@{digest}"
    reference, _ = _push(name, key, ensure(), engine(), registry, say)
    return reference


def _push(
    repository: str,
    tag: str,
    local: str,
    engine: ContainerEngine,
    registry: ImageRegistry,
    say: Say,
) -> tuple[str, bool]:
    """Pushes the local image under a tag unless the registry has that tag.

    Returns `name@sha256:...`, and False if another publisher pushed the tag at the same time.
    """
    digest, was_first = registry.digest_of(repository, tag), True
    if digest is None:
        if registry.ensure_repository(repository):
            say(f"{repository}: created the repository: immutable tags, scan on push")
        say(f"{repository}: pushing {tag}")
        was_first = _push_new(repository, tag, local, engine, registry, say)
        digest = registry.digest_of(repository, tag)
    if digest is None:
        raise ImageNotFoundError(
            f"{repository}:{tag} was pushed, but {registry.name} doesn't list it",
            hint="run this again; if it stays so, look at the repository in ECR",
        )
    return f"{registry.name}/{repository}@{digest}", was_first


def _push_new(
    repository: str,
    tag: str,
    local: str,
    engine: ContainerEngine,
    registry: ImageRegistry,
    say: Say,
) -> bool:
    """Pushes the local image under a tag that the registry lacks. Returns False if another publisher was faster.

    A registry refuses an immutable tag that it got meanwhile. A publisher that uses the same engine removes the name
    that it pushed, which is this one's name too, so a push whose name is gone is repeated.
    """
    _, user, password = registry.login()
    remote = f"{registry.push_name}/{repository}"
    for attempt in range(1, PUSH_ATTEMPTS + 1):
        engine.tag(local, remote, tag)
        try:
            engine.push(remote, tag, (user, password), say)
        except EngineError as error:
            # It raises a clearer error if the login has expired.
            if registry.digest_of(repository, tag) is not None:
                say(f"{repository}: another publisher has pushed {tag} meanwhile")
                return False
            if engine.has(f"{remote}:{tag}") or attempt == PUSH_ATTEMPTS:
                raise RegistryError(
                    f"{error.message}; nothing was published", hint=error.hint
                ) from error
        else:
            return True
        finally:
            engine.untag(f"{remote}:{tag}")
    raise AssertionError("the last attempt returns or raises")
