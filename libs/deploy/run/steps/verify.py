"""Verifies that every replica of a release answers through the edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deploy.core.analysis.access_log import VERIFICATION_ID
from deploy.core.planning.steps import VerifyOutside, VerifyPreview
from deploy.core.ports import Answer, Clock, Host, Probe
from deploy.core.state.edge import EdgeRoute, direct_path
from deploy.core.state.json_record import load
from deploy.core.state.release import Release
from deploy.errors import VerifyError
from deploy.run.hosts.waiting import wait_until
from deploy.run.steps.closed import await_closed
from deploy.run.steps.diagnosis import with_details

VERIFY_DEADLINE_S = 30.0

type Request = Callable[[], Answer]


class ReplicaAnswers:
    """Counts the correct answers of each replica to `/version`. With `in_a_row` a wrong answer resets all counts.

    `silent` says that nothing has answered at all, `last` what the last answer was.
    """

    def __init__(self, release: Release, successes: int, *, in_a_row: bool) -> None:
        self._release = release
        self._successes = successes
        self._in_a_row = in_a_row
        self._left = dict.fromkeys(release.names, successes)
        self.last = "nothing answered yet"
        self.silent = True

    def add(self, answer: Answer) -> bool:
        """Counts one answer; returns False if it isn't from this release."""
        self.silent = self.silent and answer.status == 0
        version = _version_of(answer)
        release, replica = version.get("release"), version.get("replica")
        if (release, version.get("config_hash")) != (self._release.id, self._release.config_hash):
            self.reject(f"{_status(answer)}, release {release or 'unknown'}")
            return False
        self.last = f"release {release}, replica {replica}"
        if replica in self._left:
            self._left[replica] -= 1
        return True

    def reject(self, reason: str) -> None:
        """Notes a wrong answer in `last`."""
        self.last = reason
        if self._in_a_row:
            self._left = dict.fromkeys(self._release.names, self._successes)

    @property
    def missing(self) -> list[str]:
        """The names of the replicas that have not answered often enough."""
        return [name for name, left in self._left.items() if left > 0]


def verify_preview(host: Host, clock: Clock, step: VerifyPreview, preview_port: int) -> None:
    """Requests `/version`, then the health path, on the preview route until all replicas answered well in a row.

    Raises VerifyError at the deadline, with a replica's last log lines.
    """
    release, route = step.release, step.route
    answers = ReplicaAnswers(release, step.successes, in_a_row=True)
    # The container's own health check uses this path too, so it doesn't depend on the service's route.
    health_path = direct_path(release.service, release.id) + step.health_path
    version = _preview(host, preview_port, route, _version_path(route))
    health = _preview(host, preview_port, route, health_path)

    def steady() -> bool:
        return _all_answered(answers, release, step.successes, version) and _all_healthy(
            answers, len(release.names) * step.successes, health, step.health_path
        )

    _await(steady, answers, release, host, clock, f"{host.name}'s preview route")


def verify_outside(
    host: Host, clock: Clock, step: VerifyOutside, probe: Probe, url: str, preview_port: int
) -> None:
    """Requests the public URL until every replica has answered once. Raises VerifyError at the deadline.

    Wrong answers reset nothing, because nginx workers that are shutting down still answer for the old release.
    """
    release, route = step.release, step.route
    public, where = public_version(probe, url, route), f"{host.name} at {url}"
    if route.maintenance:
        # The public route is closed, so the replicas are verified through the preview route.
        await_closed(public, clock, where)
        public = _preview(host, preview_port, route, _version_path(route))
    answers = ReplicaAnswers(release, 1, in_a_row=False)

    def all_answered() -> bool:
        return _all_answered(answers, release, 1, public)

    if not wait_until(all_answered, clock, deadline_s=VERIFY_DEADLINE_S, every_s=0.2):
        # The replicas answered on the preview route, so what lies between here and the edge is to blame, if anything
        # but the release's own answers is.
        if answers.silent:
            raise VerifyError(
                f"the replicas are healthy, but nothing answers at {url}, where {host.name} serves: {answers.last}",
                hint=f"check `url` of {host.name} in the environment file (default: http://ADDRESS), DNS and firewalls",
            )
        raise _unverified(answers, release, host, where)


def public_version(probe: Probe, url: str, route: EdgeRoute) -> Request:
    """Returns a function that requests `/version` as a user would."""
    headers = verification_headers(route.host)
    return lambda: probe.get(url.rstrip("/") + _version_path(route), headers=headers)


def verification_headers(host: str | None) -> Mapping[str, str]:
    """Returns headers that exclude a request from the request counts. `host` is the host name of its route, if any."""
    headers = {"X-Request-Id": VERIFICATION_ID}
    return {**headers, "Host": host} if host else headers


def _all_answered(
    answers: ReplicaAnswers, release: Release, successes: int, request: Request
) -> bool:
    """Stops at a wrong answer, or after four times the requests that an even distribution would need."""
    for _ in range(4 * len(release.names) * successes):
        if not answers.missing or not answers.add(request()):
            break
    return not answers.missing


def _all_healthy(answers: ReplicaAnswers, times: int, request: Request, path: str) -> bool:
    for _ in range(times):
        answer = request()
        if answer.status != 200:  # as the container's own health check requires
            answers.reject(f"{_status(answer)} at {path}")
            return False
    return True


def _await(
    verified: Callable[[], bool],
    answers: ReplicaAnswers,
    release: Release,
    host: Host,
    clock: Clock,
    where: str,
) -> None:
    if not wait_until(verified, clock, deadline_s=VERIFY_DEADLINE_S, every_s=0.2):
        raise _unverified(answers, release, host, where)


def _unverified(answers: ReplicaAnswers, release: Release, host: Host, where: str) -> VerifyError:
    missing = answers.missing
    reason = f"{where}: {', '.join(missing)} did not answer as {release.id} (last: {answers.last})"
    return VerifyError(with_details(reason, host, missing))


def _preview(host: Host, port: int, route: EdgeRoute, path: str) -> Request:
    headers = verification_headers(route.host)
    return lambda: host.fetch(port, path, headers=headers)


def _version_path(route: EdgeRoute) -> str:
    return route.path.rstrip("/") + "/version"


def _status(answer: Answer) -> str:
    return f"HTTP {answer.status}" if answer.status else answer.body.decode(errors="replace")


def _version_of(answer: Answer) -> dict[str, Any]:
    try:
        document = load(answer.body.decode()) if answer.status == 200 else {}
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
