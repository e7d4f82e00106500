"""What is asked for in this call: of which service, by whom, from which revision; never carries it out."""

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


class Requests:
    """Makes the requests that `deploy.run` takes; the vault needs an environment, so it is made when it is used."""

    def __init__(
        self,
        settings: Settings,
        images: Images,
        vault: Callable[[], SecretResolver],
        checkout: GitCheckout,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._images = images
        self._vault = vault
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
        """What a deploy of this service asks for; builds and publishes the image unless one is named.

        Without `push` nothing is published: an image that the registry lacks stands as its local id.
        """
        service = self._settings.service(name)
        if replicas is not None:
            service = replace(service, replicas=replicas)
        environment = self._settings.environment()
        # Before anything is built: what is missing shows at once, and no child process inherits one.
        self._vault().find(name, service.secrets)
        dirty = image is None and self._checkout.dirty
        require_committed(environment, dirty=dirty)
        if image is not None:
            self._images.registry.require(image)
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
            self._images.stacks(environment, push=push),
            origin,
            pipeline=invoker.pipeline(),
        )

    def rollback(self, name: str, to: str, *, why: str = "") -> RollbackCommand:
        """What a rollback of this service asks for."""
        return RollbackCommand(
            self._settings.service(name), self.origin(why), to, pipeline=invoker.pipeline()
        )

    def promotion(self, name: str, release: str, *, why: str = "") -> PromoteCommand:
        """What a promotion of this service's candidate asks for."""
        return PromoteCommand(
            self._settings.service(name), self.origin(why), release, pipeline=invoker.pipeline()
        )

    def abort(self, name: str, release: str, *, why: str = "") -> AbortCommand:
        """What the end of this service's candidate asks for."""
        return AbortCommand(
            self._settings.service(name), self.origin(why), release, pipeline=invoker.pipeline()
        )

    def scale(self, name: str, replicas: int, *, why: str = "") -> ScaleCommand:
        """What another scale of this service asks for."""
        return ScaleCommand(
            self._settings.service(name), self.origin(why), replicas, pipeline=invoker.pipeline()
        )

    @property
    def pipeline(self) -> str:
        """The address of the pipeline that runs this, "" outside of one."""
        return invoker.pipeline()

    def origin(self, why: str) -> Origin:
        """Who acts now, and why, from what revision."""
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
