"""Does the same on every host, side by side; a failure names all hosts that failed, never the first alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from deploy.core.ports import Host
from deploy.errors import HostUnreachableError, ShipError

MOST_HOSTS = 16
"""How many hosts are talked to at once."""


def on_every[T](hosts: Sequence[Host], do: Callable[[Host], T]) -> tuple[T, ...]:
    """Returns what `do` makes of each host, in order, once it ended on all.

    Raises what one host failed with. Where several did, an error of the same type as the first of them by name, whose
    one line names every host and why. For reading only: the line says that nothing was changed.
    """
    with ThreadPoolExecutor(max_workers=MOST_HOSTS) as pool:
        ends = list(pool.map(lambda host: _tried(host, do), hosts))
    failed = {
        host.name: end for host, end in zip(hosts, ends, strict=True) if isinstance(end, ShipError)
    }
    if failed:
        raise _all_of(dict(sorted(failed.items())), len(hosts))
    return tuple(end for end in ends if not isinstance(end, ShipError))


def reach(hosts: Sequence[Host]) -> None:
    """Connects to every host. Raises what `on_every` does for those that can't be reached or refuse the login."""
    on_every(hosts, lambda host: host.run(["true"]))


def _tried[T](host: Host, do: Callable[[Host], T]) -> T | ShipError:
    try:
        return do(host)
    except ShipError as error:
        return error


def _all_of(failed: Mapping[str, ShipError], hosts: int) -> ShipError:
    first, *others = failed.values()
    if not others:
        return first
    unreachable = all(isinstance(error, HostUnreachableError) for error in failed.values())
    what = "can't be reached" if unreachable else "can't be worked with"
    told = "; ".join(f"{name}: {_short(name, error)}" for name, error in failed.items())
    message = f"{len(failed)} of {hosts} hosts {what}, nothing was changed: {told}"
    return type(first)(message, hint=first.hint)


def _short(name: str, error: ShipError) -> str:
    """What failed, without what remains (that is said once for all); of a jump that is down it names the jump."""
    return error.message.removeprefix(f"{name}: ").partition("; ")[0]
