"""A program that console_test.py runs on a terminal: rolls out over simulated hosts, as main() would."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
import threading
from contextlib import closing
from types import FrameType

from deploy.cli.output.console import Console
from deploy.core.planning.steps import name_of
from deploy.errors import ShipError
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    deploy,
)
from deploy.run.rollout.events import (
    Event,
    Message,
    StepBegun,
)
from deploy.testing import factories
from deploy.testing.fleet.faults import Fault, FaultKind
from deploy.testing.fleet.fleet import Fleet

interrupted = threading.Event()


def on_interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    interrupted.set()
    raise KeyboardInterrupt


def request(fleet: Fleet, label: str) -> DeployCommand:
    image = factories.image(label)
    found = DeployCommand(
        factories.service(), image, factories.REPLICA, factories.stacks(), factories.ORIGIN
    )
    fleet.images.update([image, *(stack.image for stack in found.stacks)])
    return found


def main(arguments: list[str]) -> int:
    hosts = [each for each in arguments if not each.startswith("--")]
    fleet = Fleet.of(*hosts)
    context = DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)
    console = Console.for_stream(os.environ)

    def tell(event: Event) -> None:
        console.tell(event)
        if not isinstance(event, StepBegun) or event.step.host != hosts[-1]:
            return
        if "--fail" in arguments and name_of(event.step) == "StartReplicas":
            fleet.faults.append(Fault(hosts[-1], 1, FaultKind.FAILS_ONCE))
        if "--interrupt" in arguments and name_of(event.step) == "PointTraffic":
            if not interrupted.is_set():
                console.tell(Message(hosts[-1], "press Ctrl-C"))
            interrupted.wait(60)

    try:
        if arguments != hosts:
            deploy(request(fleet, "one"), context, lambda _: None)
        with closing(console):
            deploy(request(fleet, "two"), context, tell)
    except ShipError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    print("app: it is live")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, on_interrupt)
    if sys.stdin.isatty():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    sys.exit(main(sys.argv[1:]))
