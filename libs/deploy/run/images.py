"""Builds, tries and publishes images; what a rollout runs is the reference that this returns.

An image's id depends on its content alone (docs/adr/0002), so its first twelve digits are its
tag, and whatever the registry has under that tag is not pushed again. A second tag names what it was made of, so that a
machine that never built it need not (docs/adr/0025).
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.core.config import Service
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
from deploy.core.images.ports import Engine, History, Memory, Packager, Registry, Trial
from deploy.core.ports import Answer, Clock, Probe, Say
from deploy.errors import (
    BuildError,
    EngineError,
    ImageNotFoundError,
    RegistryError,
    TagTakenError,
)

STOP_S = 40
LOG_LINES = 20


@dataclass(frozen=True)
class JobImage:
    """An image that jobs of the pipeline run in, built and published as a service's is, by name alone.

    `bases` are the folders of deploy/base that it is built from, `asked` the commands that must succeed in it.
    """

    service: Service
    bases: tuple[str, ...]
    asked: tuple[str, ...]


PROGRAMS = ("python3", "git", "docker", "mmdebstrap", "chromium", "apt-get")
JOB_IMAGES = {
    each.service.name: each
    for each in (
        JobImage(
            Service("job", "deploy/job:image"),
            ("job",),
            tuple(f"{each} --version" for each in PROGRAMS),
        ),
        JobImage(
            Service("ship", "deploy/ship:image"),
            ("python", "ship"),
            (
                *(f"{each} --version" for each in ("bash", "grep", "git")),
                '"$SHIP_PYTHON" -P -m deploy.cli --reference',
            ),
        ),
    )
}
"""The image of all jobs, with every tool, and that of the jobs that only deploy, with ours alone."""


@dataclass(frozen=True)
class BuildContext:
    """What building an image takes. `ensure_base` brings its base into the engine, `try_out` is its trial."""

    packager: Packager
    history: History
    memory: Memory
    engine: Engine
    probe: Probe
    clock: Clock
    say: Say
    ensure_base: Callable[[], object]
    try_out: Callable[[Service, str, BuildContext], None]


def build(service: Service, workshop: BuildContext, inputs: Sequence[str] = ()) -> BuiltImage:
    """Returns the service's image of this checkout, tried, in the engine. Raises BuildError, EngineError.

    A checkout that is as it was, in every file, is not built again. `inputs` are the image's files, where they were
    asked for already.
    """
    state = workshop.history.state()
    key = _key(service, state)
    if state and (known := _recalled(workshop, key)):
        return known
    workshop.ensure_base()
    workshop.say(f"{service.name}: packaging {service.image}")
    packaged = workshop.packager.package(service.image)
    stamp = workshop.history.last_change(inputs or workshop.packager.inputs(service.image))
    image = _normalised(service, packaged, stamp, workshop)
    if state and workshop.history.state() == state:  # else somebody wrote meanwhile
        workshop.memory.keep(key, json.dumps(asdict(image)))
    return image


def _key(service: Service, state: str | None) -> str:
    return json.dumps([service.name, service.image, service.source, state])


def _recalled(workshop: BuildContext, key: str) -> BuiltImage | None:
    text = workshop.memory.recall(key)
    if text is None:
        return None
    known = BuiltImage(**json.loads(text))
    return known if workshop.engine.has(known.reference) else None


def _normalised(
    service: Service, packaged: str, stamp: Stamp, workshop: BuildContext
) -> BuiltImage:
    """Loads the packaged image once more, with a configuration that tells of its content alone."""
    engine = workshop.engine
    labels = labels_of(stamp, title=service.name, source=service.source)
    config = normalised_config(engine.configuration(packaged), created=stamp.created, labels=labels)
    image_id = digest_of(config)
    repository = f"py-cicd/{service.name}"
    reference = f"{repository}:{short_id(image_id)}"
    # The name is given last, to an image that passed: an image of that name needs no trial.
    if not engine.has(reference):
        trial_name = f"{repository}:untried-{short_id(image_id)}"
        _load(engine, packaged, config, trial_name)
        try:
            workshop.try_out(service, trial_name, workshop)
            engine.tag(trial_name, repository, short_id(image_id))
        finally:
            engine.untag(trial_name)
    return BuiltImage(
        service.name, image_id, reference, engine.size_bytes(reference), stamp.revision
    )


def _load(engine: Engine, packaged: str, config: bytes, reference: str) -> None:
    diff_ids: list[str] = json.loads(config)["rootfs"]["diff_ids"]
    archive = io.BytesIO()
    # Every layer is there already: the archive names them only.
    write_archive(config, [ArchivedLayer(each) for each in diff_ids], reference, archive)
    archive.seek(0)
    try:
        engine.load(archive)
    except EngineError:  # an engine that keeps images in another way
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


def smoke_test(service: Service, image: str, workshop: BuildContext) -> None:
    """Starts an image as production does and asks it what a rollout will ask. Raises BuildError with its last lines."""
    workshop.say(f"{service.name}: smoke test, as production runs it")
    environment = {
        **service.env,
        "SERVICE": service.name,
        "RELEASE": "smoke-test",
        "REVISION": "unknown",
        "CONFIG_HASH": "none",
        "PORT": str(service.port),
        "METRICS_PORT": str(service.metrics_port),
    }
    with workshop.engine.started(
        image, environment, port=service.port, memory=service.memory
    ) as trial:
        _await_ready(service, trial, workshop)
        version = workshop.probe.get(f"{trial.url}/version")
        if _named(version) != (service.name, "smoke-test"):
            raise _failed(
                service, trial, f"/version answered {version.status} {version.body[:200]!r}"
            )
        if (code := trial.stop(STOP_S)) not in {0, 143}:
            raise _failed(service, trial, f"a stop ended with exit code {code}")


def job_test(image: JobImage) -> Callable[[Service, str, BuildContext], None]:
    """Returns the trial of an image of jobs: each of its commands is run. It raises BuildError with what was said."""

    def try_out(service: Service, reference: str, workshop: BuildContext) -> None:
        workshop.say(f"{service.name}: each of its programs is asked")
        code, said = workshop.engine.run(reference, ["sh", "-c", " && ".join(image.asked)])
        if code:
            raise BuildError(
                f"a program of the image {service.name} does not answer; nothing was published. It said:\n{said}",
                hint=f"mend deploy/base/{image.bases[-1]}, then ./ship build {service.name}",
            )

    return try_out


def _await_ready(service: Service, trial: Trial, workshop: BuildContext) -> None:
    clock = workshop.clock
    deadline = clock.monotonic() + service.health.startup_deadline_s
    url = f"{trial.url}{service.health.path}"
    while (answer := workshop.probe.get(url, timeout_s=2.0)).status != 200:
        if not trial.running:
            raise _failed(service, trial, "it ended at once")
        if clock.monotonic() > deadline:
            raise _failed(
                service, trial, f"{service.health.path} still answers {answer.status or 'nothing'}"
            )
        clock.sleep(0.1)


def _named(answer: Answer) -> tuple[object, object] | None:
    try:
        told = json.loads(answer.body)
        return told["service"], told["release"]
    except (ValueError, KeyError, TypeError):
        return None


def _failed(service: Service, trial: Trial, what: str) -> BuildError:
    return BuildError(
        f"the image of {service.name} failed its smoke test: {what}; nothing was published. Its last lines:\n"
        f"{trial.last_lines(LOG_LINES)}",
        hint=f"mend it, then ./ship build {service.name}",
    )


def ensure_published(service: Service, workshop: BuildContext, registry: Registry) -> str:
    """Returns the service's image of this checkout as `name@sha256:...`, built and pushed where the registry lacks it.

    Raises what `build` and `publish` raise.
    """
    engine, say = workshop.engine, workshop.say
    state = workshop.history.state()
    if state and (known := _recalled(workshop, _key(service, state))):
        return publish(known, engine, registry, say)
    inputs = workshop.packager.inputs(service.image)
    committed = workshop.history.committed((*inputs, *BUILD))
    if committed is None:  # what lies here is not what a tag of commits would name
        return publish(build(service, workshop, inputs), engine, registry, say)
    tag = inputs_tag(service, workshop.history.last_change(inputs), committed)
    if (digest := registry.digest_of(service.name, tag)) is not None:
        say(f"{service.name}: not packaged, {registry.name} has it as {tag}")
        return f"{registry.name}/{service.name}@{digest}"
    image = build(service, workshop, inputs)
    reference = publish(image, engine, registry, say)
    if workshop.history.state() == state:  # else somebody wrote meanwhile
        _published(service.name, tag, image.reference, engine, registry, say)
    return reference


def publish(image: BuiltImage, engine: Engine, registry: Registry, say: Say) -> str:
    """Pushes an image that the registry lacks and returns `name@sha256:...`.

    Raises RegistryError, EngineError, and TagTakenError where the tag of this content names another image.
    """
    found = registry.configuration_of(image.service, image.tag)
    if found and found != image.id:
        raise TagTakenError(
            f"{image.service}:{image.tag} is in {registry.name} already and is another image ({found}, "
            f"not {image.id}); nothing was pushed",
            hint="somebody pushed under this tag by hand: find out who, then delete that tag in ECR",
        )
    return _published(image.service, image.tag, image.reference, engine, registry, say)


def publish_base(
    name: str, key: str, ensure: Callable[[], str], engine: Engine, registry: Registry, say: Say
) -> str:
    """The same for a base that hosts run (edge, prometheus); `ensure` builds it where the registry lacks its key."""
    if (digest := registry.digest_of(name, key)) is not None:
        return f"{registry.name}/{name}@{digest}"
    return _published(name, key, ensure(), engine, registry, say)


def _published(
    repository: str, tag: str, local: str, engine: Engine, registry: Registry, say: Say
) -> str:
    digest = registry.digest_of(repository, tag)
    if digest is None:
        if registry.ensure_repository(repository):
            say(f"{repository}: repository made, tags immutable, scan on push")
        say(f"{repository}: pushing {tag}")
        _, *login = registry.login()
        remote = f"{registry.push_name}/{repository}"
        engine.tag(local, remote, tag)
        try:
            engine.push(remote, tag, (login[0], login[1]), say)
        except EngineError as error:
            registry.digest_of(repository, tag)  # a login that expired says so itself
            raise RegistryError(
                f"{error.message}; nothing was published", hint=error.hint
            ) from error
        finally:
            engine.untag(f"{remote}:{tag}")
        digest = registry.digest_of(repository, tag)
    if digest is None:
        raise ImageNotFoundError(
            f"{repository}:{tag} was pushed, but {registry.name} does not know it"
        )
    return f"{registry.name}/{repository}@{digest}"
