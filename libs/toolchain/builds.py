"""Marks builds of images that run, so that `ship down` removes no image from under one of them.

A build holds a lock that any number of builds may share; `ship down` removes images only if it gets the lock alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "builds.lock"


@contextmanager
def building(state: Path) -> Iterator[None]:
    """Marks the context as a build. Waits while `ship down` removes images."""
    descriptor = _open(state)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def mark_program(state: Path) -> None:
    """Marks this process as a build until it ends, also if another program replaces it."""
    descriptor = _open(state)
    os.set_inheritable(descriptor, True)
    fcntl.flock(descriptor, fcntl.LOCK_SH)


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
