"""Runs the same work on every host, side by side, and reports all failures together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from deploy.core.ports import Host
from deploy.errors import HostUnreachableError, ShipError

MOST_HOSTS = 16
"""How many hosts are worked on at the same time."""


def side_by_side[A, B](items: Iterable[A], do: Callable[[A], B]) -> tuple[B, ...]:
    """Returns the results of `do` in the order of the items.

    Raises the first error by that order; items that have not begun by then are skipped.
    """
    with ThreadPoolExecutor(max_workers=MOST_HOSTS) as pool:
        return tuple(pool.map(do, items))


def on_every[T](hosts: Sequence[Host], do: Callable[[Host], T]) -> tuple[T, ...]:
    """Returns the results of `do` in the order of the hosts, after it has ended on all of them.

    `do` must not change a host: the error for several hosts says that nothing was changed.

    Raises the error of the host that failed. If several failed, raises one error that names each of them with its
    cause; its type and hint are those of the first by name.
    """
    results = side_by_side(hosts, lambda host: _attempt(host, do))
    failed = {
        host.name: result
        for host, result in zip(hosts, results, strict=True)
        if isinstance(result, ShipError)
    }
    if failed:
        raise _combined(dict(sorted(failed.items())), len(hosts))
    return tuple(result for result in results if not isinstance(result, ShipError))


def reach(hosts: Sequence[Host]) -> None:
    """Connects to every host. Raises the error of `on_every` if some can't be reached or refuse the login."""
    on_every(hosts, lambda host: host.connect())


def _attempt[T](host: Host, do: Callable[[Host], T]) -> T | ShipError:
    try:
        return do(host)
    except ShipError as error:
        return error


def _combined(failed: Mapping[str, ShipError], host_count: int) -> ShipError:
    first, *others = failed.values()
    if not others:
        return first
    unreachable = all(isinstance(error, HostUnreachableError) for error in failed.values())
    what = "can't be reached" if unreachable else "failed"
    causes = "; ".join(f"{name}: {_cause(name, error)}" for name, error in failed.items())
    message = f"{len(failed)} of {host_count} hosts {what}, nothing was changed: {causes}"
    return type(first)(message, hint=first.hint)


def _cause(name: str, error: ShipError) -> str:
    """Returns the first clause of a host's error: without the host's name, and without the state that remains."""
    return error.message.removeprefix(f"{name}: ").partition("; ")[0]
