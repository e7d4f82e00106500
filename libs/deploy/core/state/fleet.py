"""The observed state of all hosts: one snapshot of each, in the order of the environment file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.core.config import Service
from deploy.core.state.hold import Hold
from deploy.core.state.host import HostState
from deploy.core.state.ledger import Entry, EntryEvent, last_sequence, last_turn, verified
from deploy.core.state.release import ADDRESS_SLOTS, Release, is_made_of, sequence_of
from deploy.errors import UsageError


@dataclass(frozen=True)
class FleetState:
    """Snapshots of hosts: of a whole environment, or of those that an operation or a batch concerns."""

    hosts: tuple[HostState, ...] = ()

    def __iter__(self) -> Iterator[HostState]:
        return iter(self.hosts)

    def __len__(self) -> int:
        return len(self.hosts)

    def where(self, condition: Callable[[HostState], bool]) -> FleetState:
        """Returns the hosts for which `condition` is true."""
        return FleetState(tuple(host for host in self if condition(host)))

    def next_sequence(self) -> int:
        """Returns the sequence for the next release: unused on every host, and with free addresses.

        Release records and running containers count as well as the ledgers, whose last line may be cut off.
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

    def release(self, service: str, identity: str | None) -> Release | None:
        """Returns the record of a release from any host that has it, None if no host does or the id is None."""
        found = (record for host in self if (record := host.release(service, identity)))
        return next(found, None)

    def live_ids(self, service: str) -> frozenset[str]:
        """Returns the ids of the releases that are live on at least one host."""
        return frozenset(live for host in self if (live := host.edge.live(service)))

    def live_anywhere(self, service: str, release: str) -> bool:
        """Returns whether the release is live on at least one host."""
        return release in self.live_ids(service)

    def live_everywhere(self, service: str, release: str) -> bool:
        """Returns whether the release is live on every host."""
        return all(host.edge.live(service) == release for host in self)

    def newest_live(self, service: str, *, other_than: str | None = None) -> str | None:
        """Returns the id of the newest release that is live on any host, None if none is."""
        others = (live for live in self.live_ids(service) if live != other_than)
        return max(others, key=sequence_of, default=None)

    def live_release(self, service: str) -> Release:
        """Returns the record of the live release. Raises UsageError unless all hosts serve the same one."""
        newest = self.newest_live(service)
        same = newest is not None and self.live_everywhere(service, newest)
        found = self.release(service, newest) if newest and same else None
        if found is None:
            serving = ", ".join(sorted(self.live_ids(service), key=sequence_of)) or "nothing"
            raise UsageError(
                f"{service}: {serving} is live, but all hosts must serve the same release",
                hint=f"./ship deploy {service}",
            )
        return found

    def previous_release(self, service: str) -> Release | None:
        """Returns the release verified last before the live one, None if no host has such a record."""
        live = self.live_ids(service)
        entries = [entry for host in self for entry in verified(host.ledger, service)]
        for entry in sorted(entries, key=lambda entry: entry.turn, reverse=True):
            record = self.release(service, entry.release)
            if record is not None and entry.release not in live:
                return record
        return None

    def newest_verified(self, service: Service, image: str, replica: str) -> Release | None:
        """Returns the newest verified release of this image and configuration, None if no host has its record."""
        name = service.name
        verified_ids = {entry.release for host in self for entry in verified(host.ledger, name)}
        found = (
            record
            for host in self
            for record in host.releases
            if record.service == name
            and record.id in verified_ids
            and is_made_of(record, service, image, replica)
        )
        return max(found, key=lambda record: record.sequence, default=None)

    def known_releases(self, service: str) -> tuple[str, ...]:
        """Returns the ids of all releases that any host has a record of, newest first."""
        found = {
            record.id for host in self for record in host.releases if record.service == service
        }
        return tuple(sorted(found, key=sequence_of, reverse=True))

    def last_verified(self, service: str) -> str | None:
        """Returns the id of the release that was verified last, None if none ever was.

        The latest turn on any host counts: a host that became unreachable before it recorded the turn lags behind.
        """
        entries = [entry for host in self for entry in verified(host.ledger, service)]
        return max(entries, key=lambda entry: entry.turn).release if entries else None

    def turns_of(self, release: Release) -> tuple[int, int]:
        """Returns the first and the last turn that verified a release, 0 and 0 if none did."""
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
        return max(
            entries,
            key=lambda entry: (entry.turn, entry.event == EntryEvent.ENDED),
            default=None,
        )

    def task_done(self, release: str, task: str) -> bool:
        """Returns whether some host's ledger records that the release's task succeeded."""
        entries = (
            entry for host in self for entry in host.ledger if entry.event == EntryEvent.TASK
        )
        recorded = {(entry.release, entry.what, entry.outcome) for entry in entries}
        return (release, task, "done") in recorded

    def any_hold(self, service: str) -> Hold | None:
        """Returns a service's hold from any host that has one, expired or not."""
        return next((hold for host in self if (hold := host.hold(service))), None)

    def active_hold(self, service: str) -> Hold | None:
        """Returns the hold that keeps other deploys of a service away, None if there is none.

        A hold is over when it has expired, or once its candidate is live on a host: all that is left is to finish that.
        """
        if (found := self.any_hold(service)) is None:
            return None
        unexpired = any(
            hold.expires_s > host.now_s for host in self if (hold := host.hold(service)) is not None
        )
        return found if unexpired and not self.live_anywhere(service, found.release) else None
