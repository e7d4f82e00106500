"""A program that console_test.py runs on a terminal: a rollout to simulated hosts, shown as `ship deploy` shows it."""

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
from deploy.run.rollout.deploy import deploy
from deploy.run.rollout.events import (
    Event,
    Message,
    StepBegun,
)
from deploy.run.rollout.rollout_fixture import context, deploy_command, quiet
from deploy.testing.fleet.faults import Fault, FaultKind
from deploy.testing.fleet.fleet import Fleet

interrupted = threading.Event()


def on_interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    interrupted.set()
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    hosts = [each for each in arguments if not each.startswith("--")]
    fleet = Fleet.of(*hosts)
    console = Console.for_stream(os.environ)

    def on_event(event: Event) -> None:
        console.on_event(event)
        if not isinstance(event, StepBegun) or event.step.host != hosts[-1]:
            return
        if "--fail" in arguments and name_of(event.step) == "StartReplicas":
            fleet.faults.append(Fault(hosts[-1], 1, FaultKind.FAILS_ONCE))
        if "--interrupt" in arguments and name_of(event.step) == "PointTraffic":
            if not interrupted.is_set():
                console.on_event(Message(hosts[-1], "press Ctrl-C"))
            interrupted.wait(60)

    try:
        if arguments != hosts:
            deploy(deploy_command(fleet, "one"), context(fleet), quiet)
        with closing(console):
            deploy(deploy_command(fleet, "two"), context(fleet), on_event)
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
