"""Marks builds of images that run, so that `ship down` removes no image from under one of them.

A build holds a lock that any number of builds may share; `ship down` removes images only if it gets the lock alone.
"""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "builds.lock"


@contextmanager
def building(state: Path) -> Iterator[None]:
    """Marks the context as a build. Waits while `ship down` removes images.

    Where the folder can't be written, such as in a job's container, no sandbox is removed either.
    """
    try:
        descriptor = _open(state)
    except OSError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def mark_program(state: Path) -> None:
    """Marks this process as a build until it ends, also if another program replaces it.

    A child holds the lock: programs that this one starts and leaves behind, such as Pants' daemon, would inherit it.
    """
    descriptor = _open(state)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    marked = os.pidfd_open(os.getpid())
    if os.fork() == 0:
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for standard in range(
                3
            ):  # whoever reads this program's output must not wait for the child
                os.dup2(null, standard)
            os.setsid()
            select.select([marked], [], [])  # readable once the process has ended
        finally:
            os._exit(0)
    os.close(marked)
    os.close(descriptor)


@contextmanager
def no_build(state: Path) -> Iterator[bool]:
    """Yields whether no build runs. If so, none begins within the context."""
    descriptor = _open(state)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _open(state: Path) -> int:
    state.mkdir(parents=True, exist_ok=True)
    return os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
