"""What all hosts run and record: one snapshot of each, in the order of the environment file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.core.config import Service
from deploy.core.state.hold import Hold
from deploy.core.state.host import HostState
from deploy.core.state.ledger import Entry, last_sequence, last_turn, verified
from deploy.core.state.release import ADDRESS_SLOTS, Release, is_made_of, sequence_of
from deploy.errors import UsageError


@dataclass(frozen=True)
class FleetState:
    """The snapshots of some hosts: a whole environment, or those that an operation or a batch is about."""

    hosts: tuple[HostState, ...] = ()

    def __iter__(self) -> Iterator[HostState]:
        return iter(self.hosts)

    def __len__(self) -> int:
        return len(self.hosts)

    def where(self, holds: Callable[[HostState], bool]) -> FleetState:
        """Returns the hosts for which `holds` is true."""
        return FleetState(tuple(host for host in self if holds(host)))

    def next_sequence(self) -> int:
        """Returns the sequence of the next release: one that no host has used, and whose addresses are free.

        Records count beside the ledger, whose last line may be cut off.
        """
        used = [last_sequence(host.ledger) for host in self]
        used += [release.sequence for host in self for release in host.releases]
        running = [sequence_of(container.release) for host in self for container in host.containers]
        taken = {sequence % ADDRESS_SLOTS for sequence in running}
        first = 1 + max([*used, *running], default=0)
        return next(
            sequence
            for sequence in range(first, first + ADDRESS_SLOTS)
            if sequence % ADDRESS_SLOTS not in taken
        )

    def next_turn(self) -> int:
        """Returns the number of the next operation on this fleet."""
        return 1 + max((last_turn(host.ledger) for host in self), default=0)

    def release(self, service: str, identity: str) -> Release | None:
        """Returns the record of a release from any host that holds it, None if none does."""
        found = (record for host in self if (record := host.release(service, identity)))
        return next(found, None)

    def live_release(self, service: str) -> Release:
        """Returns the record of the live release. Raises UsageError unless all hosts serve the same one."""
        live = {host.edge.live(service) for host in self}
        found = self.release(service, next(iter(live))) if len(live) == 1 else None
        if found is None:
            serving = ", ".join(sorted(live - {""})) or "nothing"
            raise UsageError(
                f"{service}: {serving} is live, but all hosts must serve the same release",
                hint=f"./ship deploy {service}",
            )
        return found

    def previous_release(self, service: str) -> Release | None:
        """Returns the release verified last before the live one, None if no host holds such a record."""
        live = {host.edge.live(service) for host in self}
        entries = [entry for host in self for entry in verified(host.ledger, service)]
        for entry in sorted(entries, key=lambda entry: entry.turn, reverse=True):
            record = self.release(service, entry.release)
            if record is not None and entry.release not in live:
                return record
        return None

    def newest_verified(self, service: Service, image: str, replica: str) -> Release | None:
        """Returns the newest verified release of this image and configuration, None if no host holds its record."""
        name = service.name
        proven = {entry.release for host in self for entry in verified(host.ledger, name)}
        found = (
            record
            for host in self
            for record in host.releases
            if record.service == name
            and record.id in proven
            and is_made_of(record, service, image, replica)
        )
        return max(found, key=lambda record: record.sequence, default=None)

    def known_releases(self, service: str) -> tuple[str, ...]:
        """Returns the ids of all releases that any host holds a record of, newest first."""
        found = {
            record.id for host in self for record in host.releases if record.service == service
        }
        return tuple(sorted(found, key=sequence_of, reverse=True))

    def last_verified(self, service: str) -> str:
        """Returns the id of the release verified last from outside, "" if none ever was.

        The latest turn on any host counts: a host that was cut off before it recorded the turn lags behind.
        """
        entries = [entry for host in self for entry in verified(host.ledger, service)]
        return max(entries, key=lambda entry: entry.turn).release if entries else ""

    def turns_of(self, release: Release) -> tuple[int, int]:
        """Returns the first and the last turn that verified a release from outside; 0 and 0 if none did."""
        turns = [
            entry.turn
            for host in self
            for entry in verified(host.ledger, release.service)
            if entry.release == release.id
        ]
        return min(turns, default=0), max(turns, default=0)

    def last_operation(self, service: str) -> Entry | None:
        """Returns the latest ledger entry about the last operation on a service, None if there was none."""
        entries = [entry for host in self for entry in host.ledger if entry.service == service]
        return max(entries, key=lambda entry: (entry.turn, entry.event == "ended"), default=None)

    def task_done(self, release: str, task: str) -> bool:
        """Returns whether some host's ledger records that the release's task succeeded."""
        entries = (entry for host in self for entry in host.ledger if entry.event == "task")
        recorded = {(entry.release, entry.what, entry.outcome) for entry in entries}
        return (release, task, "done") in recorded

    def any_hold(self, service: str) -> Hold | None:
        """Returns a service's hold from any host that has one, expired or not."""
        return next((hold for host in self if (hold := host.hold(service))), None)

    def lasting_hold(self, service: str) -> Hold | None:
        """Returns the hold that keeps other deploys of a service away, None if there is none.

        A hold ends when it expires, and when its candidate begins to go live: all that is left then is to finish.
        """
        if (found := self.any_hold(service)) is None:
            return None
        begun = any(host.edge.live(service) == found.release for host in self)
        lasts = any(
            hold.expires_s > host.now_s for host in self if (hold := host.hold(service)) is not None
        )
        return found if lasts and not begun else None
