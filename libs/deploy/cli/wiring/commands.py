"""Makes the commands of this call: for which service, by whom, from which revision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deploy import __version__
from deploy.adapters import files, invoker
from deploy.adapters.git.checkout import GitCheckout
from deploy.cli.wiring.images import Images
from deploy.cli.wiring.settings import ROOT, Settings
from deploy.core.planning.admission import require_committed
from deploy.core.ports import Clock
from deploy.core.state.release import Origin
from deploy.run.rollout.deploy import (
    AbortCommand,
    DeployCommand,
    PromoteCommand,
    RollbackCommand,
    ScaleCommand,
)
from deploy.run.steps.secrets import SecretResolver


class Commands:
    """Makes the commands that `deploy.run` carries out."""

    def __init__(
        self,
        settings: Settings,
        images: Images,
        secrets: Callable[[], SecretResolver],  # a function, since making it needs an environment
        checkout: GitCheckout,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._images = images
        self._secrets = secrets
        self._checkout = checkout
        self._clock = clock

    def deploy(
        self,
        name: str,
        image: str | None,
        replicas: int | None,
        *,
        why: str = "",
        push: bool = True,
    ) -> DeployCommand:
        """Returns the complete command to deploy a service: what `requested` and `complete` return."""
        requested = self.requested(name, image, replicas, why=why, push=push)
        return self.complete(requested, published=image is None, push=push)

    def requested(
        self,
        name: str,
        image: str | None,
        replicas: int | None,
        *,
        why: str = "",
        push: bool = True,
    ) -> DeployCommand:
        """Returns the command to deploy a service, without stacks; builds and publishes its image or takes `image`.

        Without `push` nothing is published, and an image that the registry lacks is named by its local id.
        """
        service = self._settings.service(name)
        if replicas is not None:
            service = replace(service, replicas=replicas)
        environment = self._settings.environment()
        # Before anything is built: a missing secret fails at once, and no child process inherits a value.
        self._secrets().find(name, service.secrets)
        dirty = image is None and self._checkout.dirty
        require_committed(environment, dirty=dirty)
        reference = image or (
            self._images.publish(name)
            if push
            else self._images.known(name, self._images.build(name).id)
        )
        origin = self._origin(why, dirty=dirty)
        replica = files.read_text(ROOT / "deploy" / "replica.yml")
        return DeployCommand(
            service,
            reference,
            replica,
            (),
            origin,
            pipeline=invoker.pipeline(),
        )

    def complete(
        self, command: DeployCommand, *, published: bool, push: bool = True
    ) -> DeployCommand:
        """Adds the stacks, whose digests the registry knows. Raises ImageNotFoundError for an unknown image.

        An image that this call has `published` is known.
        """
        if not published:
            self._images.registry.require(command.image)
        stacks = self._images.stacks(self._settings.environment(), push=push)
        return replace(command, stacks=stacks)

    def rollback(self, name: str, to: str, *, why: str = "") -> RollbackCommand:
        """Returns the command to roll back to `to`, or to the previous release if it is empty."""
        return RollbackCommand(
            self._settings.service(name), self.origin(why), to or None, pipeline=invoker.pipeline()
        )

    def promote(self, name: str, release: str, *, why: str = "") -> PromoteCommand:
        """Returns the command to switch to a held candidate."""
        return PromoteCommand(
            self._settings.service(name), self.origin(why), release, pipeline=invoker.pipeline()
        )

    def abort(self, name: str, release: str, *, why: str = "") -> AbortCommand:
        """Returns the command to remove a held candidate."""
        return AbortCommand(
            self._settings.service(name), self.origin(why), release, pipeline=invoker.pipeline()
        )

    def scale(self, name: str, replicas: int, *, why: str = "") -> ScaleCommand:
        """Returns the command to run this many replicas on each host."""
        return ScaleCommand(
            self._settings.service(name), self.origin(why), replicas, pipeline=invoker.pipeline()
        )

    @property
    def pipeline(self) -> str:
        """The URL of the pipeline that runs this, "" outside a pipeline."""
        return invoker.pipeline()

    def origin(self, why: str) -> Origin:
        """Returns who acts, when, why and from which revision."""
        return self._origin(why, dirty=False)

    def _origin(self, why: str, *, dirty: bool) -> Origin:
        return Origin(
            revision=self._checkout.revision,
            dirty=dirty,
            who=invoker.who(),
            when=self._clock.now(),
            why=why,
            tool_version=__version__,
        )
