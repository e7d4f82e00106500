import json
from contextlib import nullcontext
from dataclasses import replace

import pytest

from deploy.core.config import Service
from deploy.core.images.oci import (
    UNKNOWN,
    BuiltImage,
    Stamp,
)
from deploy.core.ports import Answer
from deploy.errors import BuildError, RegistryAuthError, RegistryError, TagTakenError
from deploy.run.images import (
    JOB_IMAGES,
    BuildContext,
    JobImage,
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
    MemoryEngine,
    MemoryTrial,
)
from deploy.testing.fleet.clock import SimulatedClock

SERVICE = Service("app", "services/app:image", env={"LOG_LEVEL": "info"})
VERSION = json.dumps({"service": "app", "release": "smoke-test"}).encode()


class Shop:
    """A workshop in memory whose image passes its trial."""

    def __init__(self, registry: BuildRegistry | None = None, *, slim: bool = True) -> None:
        self.said: list[str] = []
        self.registry = registry or BuildRegistry()
        self.trial = MemoryTrial({"/readyz": Answer(200), "/version": Answer(200, VERSION)})
        self.engine = MemoryEngine(self.registry, self.trial, slim=slim)
        self.work = MemoryBuild(self.engine)
        self.bases = 0
        self.workshop = BuildContext(
            packager=self.work,
            history=self.work,
            memory=MemoryCache(),
            engine=self.engine,
            probe=self.trial,
            clock=SimulatedClock(),
            say=self.said.append,
            ensure_base=self._base,
            try_out=smoke_test,
        )

    def _base(self) -> None:
        self.bases += 1

    def build(self) -> BuiltImage:
        return build(SERVICE, self.workshop)

    def publish(self) -> str:
        return publish(self.build(), self.engine, self.registry, self.said.append)

    def ensure_published(self) -> str:
        return ensure_published(SERVICE, self.workshop, self.registry)

    def elsewhere(self, **changed: object) -> "Shop":
        """Another machine that never built anything, with the same registry and a checkout that differs so."""
        other = Shop(self.registry)
        other.work = replace(other.work, **changed)  # type: ignore[arg-type]
        other.workshop = replace(other.workshop, packager=other.work, history=other.work)
        return other


def test_an_image_is_named_by_its_content() -> None:
    shop = Shop()
    image = shop.build()
    assert image.id == shop.engine.id_of(image.reference)
    assert image.reference == f"py-cicd/app:{image.tag}"
    assert image.revision == shop.work.stamp.revision
    assert set(shop.engine.images) == {"py-cicd/app:packaged", image.reference}


def test_the_moment_and_the_builder_do_not_matter() -> None:
    shop, other = Shop(), Shop(slim=False)
    other.work.packaged = 41
    assert shop.build() == other.build()


def test_another_content_or_revision_is_another_image() -> None:
    ids = []
    for change in ({}, {"content": "two"}, {"stamp": Stamp("0" * 40, 1)}, {"stamp": UNKNOWN}):
        shop = Shop()
        shop.work = replace(shop.work, **change)
        shop.workshop = replace(shop.workshop, packager=shop.work, history=shop.work)
        ids.append(shop.build().id)
    assert len(set(ids)) == 4


def test_a_checkout_that_is_as_it_was_is_not_built_again() -> None:
    shop = Shop()
    assert shop.build() == shop.build()
    assert (shop.work.packaged, shop.bases) == (1, 1)


def test_an_image_that_is_gone_is_built_again() -> None:
    shop = Shop()
    shop.engine.untag(shop.build().reference)
    shop.build()
    assert shop.work.packaged == 2


def test_a_docs_only_commit_builds_the_same_image_and_tries_it_once() -> None:
    shop = Shop()
    first = shop.build()
    shop.work.now = "another head+another tree"
    assert shop.build() == first
    assert (shop.work.packaged, len(shop.engine.trials)) == (2, 1)


def test_without_git_every_build_is_whole() -> None:
    shop = Shop()
    shop.work.now, shop.work.stamp = None, UNKNOWN
    assert shop.build() == shop.build()
    assert shop.work.packaged == 2


def test_a_trial_is_told_what_a_replica_is_told() -> None:
    shop = Shop()
    shop.build()
    ((_, environment),) = shop.engine.trials
    assert environment["LOG_LEVEL"] == "info"
    assert environment["PORT"] == "8080"
    assert {"SERVICE", "RELEASE", "REVISION", "CONFIG_HASH", "METRICS_PORT"} <= set(environment)
    assert shop.trial.stopped


@pytest.mark.parametrize(
    ("trial", "what"),
    [
        ({"answers": {"/readyz": Answer(503)}}, "/readyz still answers 503"),
        ({"answers": {}, "running": False}, "it ended at once"),
        ({"answers": {"/readyz": Answer(200), "/version": Answer(500)}}, "/version answered 500"),
        ({"exit_code": 137}, "a stop ended with exit code 137"),
    ],
)
def test_an_image_that_fails_its_trial_gets_no_name(trial: dict[str, object], what: str) -> None:
    shop = Shop()
    for name, value in trial.items():
        setattr(shop.trial, name, value)
    with pytest.raises(BuildError) as raised:
        shop.publish()
    assert what in raised.value.message
    assert raised.value.message.endswith("line 1\nline 2")
    assert set(shop.engine.images) == {"py-cicd/app:packaged"}
    assert shop.engine.pushed == []


@pytest.mark.parametrize(("exit_code", "named"), [(0, True), (127, False)])
@pytest.mark.parametrize("image", JOB_IMAGES.values(), ids=JOB_IMAGES.keys())
def test_a_job_image_is_asked_for_its_programs(
    image: JobImage, exit_code: int, named: bool
) -> None:
    shop = Shop()
    shop.trial.exit_code = exit_code
    workshop = replace(shop.workshop, try_out=job_test(image))
    with nullcontext() if named else pytest.raises(BuildError, match="does not answer"):
        build(image.service, workshop)
    ((_, told),) = shop.engine.trials
    assert told["argv"] == f"sh -c {' && '.join(image.asked)}"
    name = f"py-cicd/{image.service.name}:"
    assert any(each.startswith(name) for each in shop.engine.images) is named


def test_a_tag_that_is_another_images_is_not_taken_for_this_one() -> None:
    shop = Shop()
    image = shop.build()
    shop.registry.digests[f"app:{image.tag}"] = f"sha256:{'e' * 64}"
    shop.registry.configurations[f"app:{image.tag}"] = f"sha256:{'f' * 64}"
    with pytest.raises(TagTakenError, match=r"is another image .*; nothing was pushed") as error:
        shop.publish()
    assert (error.value.exit_code, shop.engine.pushed) == (2, [])
    shop.registry.configurations[f"app:{image.tag}"] = image.id
    assert shop.publish().endswith(f"@sha256:{'e' * 64}")


def test_what_is_published_is_named_by_the_registrys_digest() -> None:
    shop = Shop()
    reference = shop.publish()
    image = shop.build()
    assert reference == f"{shop.registry.name}/app@{shop.registry.digests[f'app:{image.tag}']}"
    assert shop.registry.repositories == ["app"]
    assert not any(name.startswith("127.0.0.1") for name in shop.engine.images)


def test_what_the_registry_has_is_not_pushed_again() -> None:
    shop = Shop()
    assert shop.publish() == shop.publish()
    assert len(shop.engine.pushed) == 1


def test_a_machine_that_never_built_it_takes_what_the_registry_has() -> None:
    shop = Shop()
    reference = shop.ensure_published()
    other = shop.elsewhere()
    assert other.ensure_published() == reference
    assert (other.work.packaged, other.bases, other.engine.pushed) == (0, 0, [])
    assert "not packaged" in other.said[-1]


@pytest.mark.parametrize(
    "changed", [{"content": "two"}, {"stamp": Stamp("0" * 40, 1)}, {"dirty": True}]
)
def test_what_may_be_another_image_is_packaged(changed: dict[str, object]) -> None:
    shop = Shop()
    shop.ensure_published()
    other = shop.elsewhere(**changed)
    other.ensure_published()
    assert other.work.packaged == 1


def test_an_image_gets_both_its_tags_in_the_registry() -> None:
    shop = Shop()
    reference = shop.ensure_published()
    own, inputs = shop.engine.pushed
    assert (own, inputs[: len("app:inputs-")]) == (f"app:{shop.build().tag}", "app:inputs-")
    assert {f"{shop.registry.name}/app@{each}" for each in shop.registry.digests.values()} == {
        reference
    }
    assert shop.ensure_published() == reference
    assert len(shop.engine.pushed) == 2


def test_a_checkout_with_changes_has_an_image_by_its_id_alone() -> None:
    shop = Shop()
    shop.work.dirty = True
    shop.ensure_published()
    assert shop.engine.pushed == [f"app:{shop.build().tag}"]


def test_a_refused_push_says_what_state_remains() -> None:
    shop = Shop()
    shop.engine.refuses_push = True
    with pytest.raises(RegistryError, match="denied; nothing was published"):
        shop.publish()
    assert not any(name.startswith("127.0.0.1") for name in shop.engine.images)


def test_a_login_that_expired_on_the_way_is_told_as_that() -> None:
    shop = Shop()
    shop.engine.refuses_push = True
    shop.registry.expires_after = 1
    with pytest.raises(RegistryAuthError, match="nothing was pushed") as error:
        shop.publish()
    assert (error.value.exit_code, shop.engine.pushed) == (2, [])


def test_a_base_is_built_only_where_the_registry_lacks_its_key() -> None:
    shop = Shop()
    shop.engine.images["py-cicd/base-edge:0123"] = b"{}"
    built: list[str] = []

    def ensure() -> str:
        built.append("edge")
        return "py-cicd/base-edge:0123"

    def published() -> str:
        return publish_base("edge", "0123", ensure, shop.engine, shop.registry, shop.said.append)

    assert published() == published()
    assert built == ["edge"]
    assert shop.engine.pushed == ["edge:0123"]
