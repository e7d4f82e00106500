"""Carries out the drains of a host: reads their records, signals and removes replicas, and records the end.

Every step is safe to repeat, and what it depends on is in files: the watchdog, the engine or the host may end before
any of them.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, assert_never

from engine_api.client import EngineApiError, EngineClient
from watchdog.containers import Container
from watchdog.draining import (
    Drain,
    Finish,
    Next,
    Remove,
    Seen,
    Signal,
    decide,
    describe,
    parse_drain,
)
from watchdog.record import Drained, Effect, append

LOCK = "draining.lock"
"""Whoever holds it may change the records of drains: the watchdog, or a deploy that wants a release again."""

MARK = ".signalled"

_CUT = re.compile(r" \*(\d+) .*(?:prematurely closed|reset by peer).*upstream: \"http://([0-9.]+):")
"""An error of nginx about an upstream that ended while a request was open: the connection's number, the address."""


class Log(Protocol):
    """Writes a line to the watchdog's own log."""

    def __call__(self, what: str, **more: object) -> None:
        """Writes `what` and what else is known."""
        ...


class Drains:
    """The drains of one host. `now_s` is the host's clock in seconds since 1970, as in the records."""

    def __init__(
        self, engine: EngineClient, root: Path, *, now_s: Callable[[], float], log: Log
    ) -> None:
        self._engine = engine
        self._root = root
        self._now_s = now_s
        self._log = log
        self._sent: set[str] = set()

    def check(self, routed: frozenset[str] | None, containers: Sequence[Container]) -> None:
        """Does what is due for each drain, and nothing to a replica whose address is among `routed`.

        None means that it can't be told whom users need. Raises EngineApiError if the engine is down, OSError for a
        full disk.
        """
        if not any(self._records()):
            self._sent.clear()
            return
        if routed is None:
            return
        with self._locked():
            workers = self._workers(containers)
            needed = {each.id for each in containers if each.address in routed}
            seen = Seen({each.id: each.state for each in containers}, workers, needed)
            for record in self._records():
                try:
                    drain = parse_drain(record.read_text())
                except ValueError as error:
                    self._log("a drain's record can't be read", file=str(record), error=str(error))
                    continue
                self._advance(record, drain, seen, containers)

    def _records(self) -> Iterator[Path]:
        return self._root.glob("services/*/draining/*.json")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._root / LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _workers(self, containers: Sequence[Container]) -> list[int] | None:
        """Returns the nginx workers of all edges that are shutting down, None if they can't be listed."""
        try:
            return [
                pid
                for edge in _edges(containers)
                for pid, title in self._engine.processes(edge.id)
                if "is shutting down" in title
            ]
        except EngineApiError as error:
            self._log("the edge's processes can't be listed", error=str(error))
            return None

    def _advance(
        self, record: Path, drain: Drain, seen: Seen, containers: Sequence[Container]
    ) -> None:
        mark, states = record.with_suffix(MARK), dict(seen.states)
        while True:
            signalled_at_s = mark.stat().st_mtime if mark.exists() else None
            seen = replace(seen, states=states)
            action = decide(
                drain, seen, self._now_s(), signalled_at_s=signalled_at_s, sent=self._sent
            )
            if action is None:
                return
            self._perform(action, record, drain, signalled_at_s, containers)
            self._log(describe(action, drain), service=drain.service)
            match action:
                case Remove(ended=ended, late=late):
                    states = {
                        each: state for each, state in states.items() if each not in (*ended, *late)
                    }
                case _:
                    return

    def _perform(
        self,
        action: Next,
        record: Path,
        drain: Drain,
        signalled_at_s: float | None,
        containers: Sequence[Container],
    ) -> None:
        mark = record.with_suffix(MARK)
        match action:
            case Signal(ids=ids):
                if signalled_at_s is None:
                    write_durably(mark, "".join(f"{each}\n" for each in ids))
                    os.utime(mark, (self._now_s(), self._now_s()))
                for identity in ids:
                    self._engine.signal(identity)
                    self._sent.add(identity)
                self._record_effect(drain, describe(action, drain))
            case Remove(ended=ended, late=late):
                for identity in (*ended, *late):
                    self._engine.remove(identity)
                self._record_effect(drain, describe(action, drain))
            case Finish():
                cut = self._cut(drain, signalled_at_s, containers)
                seconds = round(max(0.0, self._now_s() - drain.begun_s), 3)
                ended_drain = Drained(
                    _now(),
                    drain.service,
                    drain.release,
                    drain.turn,
                    seconds,
                    len(drain.replicas),
                    cut,
                )
                self._append(ended_drain)
                # The record last: while it exists, this is repeated.
                mark.unlink(missing_ok=True)
                record.unlink(missing_ok=True)
            case None:
                pass
            case _:
                assert_never(action)

    def _cut(
        self, drain: Drain, signalled_at_s: float | None, containers: Sequence[Container]
    ) -> int:
        """Returns how many requests ended with their replica, as the edges report them in their error logs."""
        if signalled_at_s is None:
            return 0
        addresses = {replica.address for replica in drain.replicas}
        found: set[tuple[str, str]] = set()
        try:
            for edge in _edges(containers):
                for line in self._engine.error_lines(edge.id, since=signalled_at_s):
                    cut = _CUT.search(line)
                    if cut and cut[2] in addresses:
                        found.add((edge.id, cut[1]))
        except EngineApiError as error:
            self._log("the edge's log can't be read", error=str(error))
        return len(found)

    def _record_effect(self, drain: Drain, what: str) -> None:
        self._append(Effect(_now(), drain.service, drain.release, what, 0))

    def _append(self, line: Effect | Drained) -> None:
        try:
            append(self._root / "ledger.jsonl", line)
        except OSError as error:
            self._log("writing the ledger failed", error=str(error))


def _edges(containers: Sequence[Container]) -> list[Container]:
    return [
        each
        for each in containers
        if each.labels.get("py-cicd.name") == "edge" and each.state == "running"
    ]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_durably(path: Path, text: str) -> None:
    """Writes a file whole or not at all, and on the disk when this returns. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
