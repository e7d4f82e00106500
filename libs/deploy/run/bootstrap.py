"""Looks at a server's settings and makes them as wanted, one after the other; never decides what is wanted.

Services are restarted by systemd; where none runs (a container), by a signal to the daemon, which whatever
keeps it starts again.
"""

from __future__ import annotations

import json
import posixpath
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from deploy.core import bootstrap
from deploy.core.bootstrap import (
    Docker,
    File,
    Folder,
    InForce,
    JsonFile,
    Machine,
    Packages,
    Setting,
    User,
)
from deploy.core.commands import locks, shell
from deploy.core.planning.preflight import OLDEST_COMPOSE, OLDEST_ENGINE
from deploy.core.ports import Clock, Completed, Host
from deploy.core.state.ledger import Entry, head_of
from deploy.errors import CommandError
from deploy.run.hosts.locked_host import last_line
from deploy.run.hosts.waiting import wait_until

INSTALL_S = 900.0
APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=120")
DAEMONS = {"ssh": "/run/sshd.pid", "docker": "/run/docker.pid"}


@dataclass(frozen=True)
class Point:
    """One setting as it was found: `right`, else `why` not; `changed` if it was made right."""

    name: str
    right: bool
    why: str = ""
    changed: bool = False


@dataclass(frozen=True)
class Server:
    """A host on which commands run as root: the login is root's, or may use sudo without a password."""

    host: Host
    sudo: bool

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Runs argv as root."""
        rooted = ["sudo", "-n", *argv] if self.sudo else list(argv)
        return self.host.run(rooted, stdin=stdin, timeout_s=timeout_s)

    def must(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> str:
        """Runs argv as root. Raises CommandError unless it succeeds."""
        done = self.run(argv, stdin=stdin, timeout_s=timeout_s)
        if done.code != 0:
            raise CommandError(
                f"{self.host.name}: `{' '.join(argv)[:100]}` failed ({done.code}): {last_line(done)}; "
                "what was changed before stays",
                stderr=done.stderr[-4000:],
                hint="mend it and run this again: it goes on where it stopped",
            )
        return done.stdout

    def put(self, path: str, text: str, mode: int) -> None:
        """Writes a file whole or not at all."""
        content = text.encode()
        argv = shell.put_argv(path, len(content), mode, secrets.token_hex(4))
        self.must(argv, stdin=content)


def describe(server: Server) -> Machine:
    """Returns what a server is. Raises CommandError where the login may not act as root."""
    server.must(["true"])
    sshd = server.run(["sshd", "-T"])
    return bootstrap.parse_machine(server.must(["cat", "/etc/os-release"]), sshd.stdout)


def check(server: Server, wanted: Sequence[Setting]) -> Iterator[Point]:
    """Yields how each setting is; changes nothing."""
    for setting in wanted:
        why = wrong(server, setting)
        yield Point(setting.name, not why, why)


def make(server: Server, wanted: Sequence[Setting], clock: Clock) -> Iterator[Point]:
    """Makes each setting right that isn't, and yields how it was. Raises CommandError where that fails."""
    for setting in wanted:
        if not (why := wrong(server, setting)):
            yield Point(setting.name, right=True)
            continue
        _change(server, setting)
        last = [why]

        def holds(setting: Setting = setting, last: list[str] = last) -> bool:
            last[0] = wrong(server, setting)
            return not last[0]

        # A restarted daemon takes a moment.
        if not wait_until(holds, clock, deadline_s=30.0, every_s=0.5):
            raise CommandError(
                f"{server.host.name}: {setting.name}: was changed, but {last[0]}",
                hint="look at it there, then run this again",
            )
        yield Point(setting.name, right=False, why=why, changed=True)


def record(server: Server, user: str, entry: Entry) -> str:
    """Adds a line to the host's ledger, as the user whose file it is; returns why it could not, "" if it did.

    Before there is such a user, what was changed can't be recorded there.
    """
    done = server.run(["runuser", "--user", user, "--", *locks.record(head_of(entry))])
    return last_line(done) if done.code else ""


def wrong(server: Server, setting: Setting) -> str:
    """Returns what is not as a setting wants it, "" if it is."""
    match setting:
        case Packages(packages=packages):
            missing = [name for name in packages if not _installed(server, name)]
            return f"{', '.join(missing)} not installed" if missing else ""
        case Docker():
            return _docker_is_old(server)
        case File(path=path, content=content):
            found = server.run(shell.read_argv(path))
            if found.code != 0:
                return f"{path} is missing"
            return "" if found.stdout == content else f"{path} says otherwise"
        case JsonFile(path=path, values=values):
            return _json_differs(server.run(shell.read_argv(path)).stdout, path, values)
        case User(user=user, group=group, key=key):
            return _user_lacks(server, user, group, key)
        case Folder(path=path, owner=owner):
            found = server.run(["stat", "--format", "%U", path])
            if found.code != 0:
                return f"{path} is missing"
            whose = found.stdout.strip()
            return "" if whose == owner else f"{path} is {whose}'s"
        case InForce(argv=argv, lines=lines):
            return _not_in_force(server.run(argv), lines)
        case _:
            assert_never(setting)


def _installed(server: Server, package: str) -> bool:
    done = server.run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", package])
    return done.stdout.strip() == "installed"


def _docker_is_old(server: Server) -> str:
    for what, argv, least in (
        ("engine", ["dockerd", "--version"], OLDEST_ENGINE),
        ("compose", ["docker", "compose", "version", "--short"], OLDEST_COMPOSE),
    ):
        done = server.run(argv)
        found = re.search(r"(\d+)\.(\d+)", done.stdout)
        if done.code != 0 or found is None:
            return f"there is no {what}"
        if (int(found[1]), int(found[2])) < least:
            return f"the {what} is {found[0]}"
    return ""


def _json_differs(text: str, path: str, values: object) -> str:
    assert isinstance(values, dict)
    try:
        found = json.loads(text or "{}")
        other = sorted(key for key, value in values.items() if found.get(key) != value)
    except (ValueError, AttributeError):
        return f"{path} is no JSON object"
    return f"{path} lacks {', '.join(other)}" if other else ""


def _user_lacks(server: Server, user: str, group: str, key: str) -> str:
    groups = server.run(["id", "--name", "--groups", user])
    if groups.code != 0:
        return f"there is no user {user}"
    if group not in groups.stdout.split():
        return f"{user} is not in group {group}"
    keys = server.run(["cat", _keys_of(user)]).stdout.splitlines()
    if not any(line.split()[:2] == key.split()[:2] for line in keys):
        return f"the key doesn't let {user} in"
    return ""


def _not_in_force(done: Completed, lines: Sequence[str]) -> str:
    printed = {" ".join(line.split()).lower() for line in done.stdout.splitlines()}
    if done.code != 0:
        return next(iter(done.stderr.strip().splitlines()), f"exit code {done.code}")
    # Newer sshds write the same by another word.
    printed |= {line.replace("prohibit-password", "without-password") for line in printed}
    missing = [line for line in lines if line.lower() not in printed]
    return f"not in force: {', '.join(missing)}" if missing else ""


def _keys_of(user: str) -> str:
    return f"/home/{user}/.ssh/authorized_keys"


def _change(server: Server, setting: Setting) -> None:
    match setting:
        case Packages(packages=packages) | Docker(packages=packages):
            server.must([*APT, "update"], timeout_s=INSTALL_S)
            install = [*APT, "install", "-y", "--no-install-recommends", *packages]
            server.must(install, timeout_s=INSTALL_S)
            if isinstance(setting, Docker):
                _restart(server, "docker")
        case File(path=path, content=content, mode=mode, then=then):
            before = server.run(shell.read_argv(path))
            server.put(path, content, mode)
            if then == "ssh" and (refused := server.run(["sshd", "-t"])).code != 0:
                _put_back(server, path, before, mode)
                raise CommandError(
                    f"{server.host.name}: sshd refuses its settings: {last_line(refused)}"
                )
            _take_up(server, then)
        case JsonFile(path=path, values=values, then=then):
            text = server.run(shell.read_argv(path)).stdout
            server.put(path, bootstrap.merged(text, values), 0o644)
            _take_up(server, then)
        case User(user=user, group=group, key=key):
            _make_user(server, user, group, key)
        case Folder(path=path, owner=owner):
            server.must(["install", "-d", "-m", "0755", "-o", owner, "-g", owner, path])
        case InForce(then=then):
            _take_up(server, then)
        case _:
            assert_never(setting)


def _put_back(server: Server, path: str, before: Completed, mode: int) -> None:
    if before.code == 0:
        server.put(path, before.stdout, mode)
    else:
        server.must(["rm", "-f", path])


def _make_user(server: Server, user: str, group: str, key: str) -> None:
    server.must(["groupadd", "--force", "--system", group])
    if server.run(["id", user]).code != 0:
        server.must(["useradd", "--create-home", "--shell", "/bin/bash", user])
        # No password at all, but no locked account either, which sshd would refuse.
        server.must(["usermod", "--password", "*", user])
    server.must(["usermod", "--append", "--groups", group, user])
    keys = _keys_of(user)
    server.must(["install", "-d", "-m", "0700", "-o", user, "-g", user, posixpath.dirname(keys)])
    found = [line for line in server.run(["cat", keys]).stdout.splitlines() if line.strip()]
    if not any(line.split()[:2] == key.split()[:2] for line in found):
        server.put(keys, "\n".join([*found, key]) + "\n", 0o600)
    server.must(["chown", f"{user}:{user}", keys])


def _take_up(server: Server, then: str) -> None:
    take: dict[str, Callable[[], object]] = {
        "": lambda: None,
        "apt": lambda: server.must([*APT, "update"], timeout_s=INSTALL_S),
        "sysctl": lambda: server.must(
            ["sysctl", "--quiet", "--load", "/etc/sysctl.d/60-py-cicd.conf"]
        ),
        "nft": lambda: server.must(["nft", "-f", bootstrap.FIREWALL]),
    }
    take.get(then, lambda: _restart(server, then))()


def _restart(server: Server, service: str) -> None:
    if server.run(["test", "-d", "/run/systemd/system"]).code == 0:
        server.must(["systemctl", "daemon-reload"])
        server.must(["systemctl", "enable", service])
        # A reload first: with live-restore read, the restart leaves containers running.
        server.run(["systemctl", "reload", service])
        if service != "ssh":
            server.must(["systemctl", "restart", service], timeout_s=120)
    elif service in DAEMONS and (pid := server.run(["cat", DAEMONS[service]]).stdout.strip()):
        # It may be on its way already; whether it took it up is looked at afterwards.
        server.run(["kill", "-TERM" if service == "docker" else "-HUP", pid])
