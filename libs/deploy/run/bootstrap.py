"""Checks the settings of a server and applies those that don't hold, one after the other.

Services are restarted by systemd. Where none runs (a container), the daemon gets a signal and has to be restarted by
whatever supervises it.
"""

from __future__ import annotations

import json
import posixpath
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from deploy.core import bootstrap
from deploy.core.bootstrap import (
    Activation,
    Docker,
    File,
    Folder,
    InEffect,
    JsonFile,
    Packages,
    ServerFacts,
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
PID_FILES = {"ssh": "/run/sshd.pid", "docker": "/run/docker.pid"}


@dataclass(frozen=True)
class CheckedSetting:
    """The result for one setting. `problem` is why it didn't hold, None if it did; `changed` if it was then applied."""

    name: str
    problem: str | None = None
    changed: bool = False


@dataclass(frozen=True)
class Server:
    """A host on which commands run as root: the user is root, or may use sudo without a password."""

    host: Host
    sudo: bool

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Runs argv as root."""
        command = ["sudo", "-n", *argv] if self.sudo else list(argv)
        return self.host.run(command, stdin=stdin, timeout_s=timeout_s)

    def run_checked(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> str:
        """Runs argv as root and returns its stdout. Raises CommandError unless it succeeds."""
        done = self.run(argv, stdin=stdin, timeout_s=timeout_s)
        if done.code != 0:
            raise CommandError(
                f"{self.host.name}: `{' '.join(argv)[:100]}` failed ({done.code}): {last_line(done)}; "
                "settings that were changed before stay",
                stderr=done.stderr[-4000:],
                hint="correct the cause, then run this again: it continues where it stopped",
            )
        return done.stdout

    def put(self, path: str, text: str, mode: int) -> None:
        """Writes a file atomically."""
        content = text.encode()
        argv = shell.put_argv(path, len(content), mode, secrets.token_hex(4))
        self.run_checked(argv, stdin=content)


def describe(server: Server) -> ServerFacts:
    """Returns the facts about a server. Raises CommandError if the user can't act as root."""
    server.run_checked(["true"])
    sshd = server.run(["sshd", "-T"])
    return bootstrap.parse_facts(server.run_checked(["cat", "/etc/os-release"]), sshd.stdout)


def check(server: Server, settings: Sequence[Setting]) -> Iterator[CheckedSetting]:
    """Yields the result of checking each setting, without a change."""
    for setting in settings:
        yield CheckedSetting(setting.name, problem_of(server, setting))


def make(server: Server, settings: Sequence[Setting], clock: Clock) -> Iterator[CheckedSetting]:
    """Checks each setting, applies it if it doesn't hold, and yields the result. Raises CommandError on failure."""
    for setting in settings:
        if (problem := problem_of(server, setting)) is None:
            yield CheckedSetting(setting.name)
            continue
        _apply(server, setting)
        remaining: list[str | None] = [problem]

        def holds(setting: Setting = setting, remaining: list[str | None] = remaining) -> bool:
            remaining[0] = problem_of(server, setting)
            return remaining[0] is None

        # A restarted daemon needs a moment.
        if not wait_until(holds, clock, deadline_s=30.0, every_s=0.5):
            raise CommandError(
                f"{server.host.name}: {setting.name}: was changed, but {remaining[0]}",
                hint="look at it on the host, then run this again",
            )
        yield CheckedSetting(setting.name, problem, changed=True)


def record(server: Server, user: str, entry: Entry) -> str | None:
    """Appends an entry to the host's ledger as the user who owns it. Returns why that failed, None if it didn't.

    It fails if the user doesn't exist yet.
    """
    done = server.run(["runuser", "--user", user, "--", *locks.record_unlocked(head_of(entry))])
    return last_line(done) if done.code else None


def problem_of(server: Server, setting: Setting) -> str | None:
    """Returns why a setting doesn't hold, None if it does."""
    match setting:
        case Packages(packages=packages):
            missing = [name for name in packages if not _installed(server, name)]
            return f"{', '.join(missing)} not installed" if missing else None
        case Docker():
            return _docker_problem(server)
        case File(path=path, content=content):
            done = server.run(shell.read_argv(path))
            if done.code != 0:
                return f"{path} is missing"
            return None if done.stdout == content else f"{path} has other content"
        case JsonFile(path=path, values=values):
            return _json_problem(server.run(shell.read_argv(path)).stdout, path, values)
        case User(user=user, group=group, key=key):
            return _user_problem(server, user, group, key)
        case Folder():
            return _folder_problem(server, setting)
        case InEffect(argv=argv, lines=lines):
            return _effect_problem(server.run(argv), lines)
        case _:
            assert_never(setting)


def _folder_problem(server: Server, folder: Folder) -> str | None:
    done = server.run(["stat", "--format", "%U %a", folder.path])
    if done.code != 0:
        return f"{folder.path} is missing"
    owner, _, mode = done.stdout.strip().partition(" ")
    if owner != folder.owner:
        return f"{folder.path} belongs to {owner}"
    if mode != "700":
        return f"{folder.path} has mode {mode}, so other users can enter it"
    found = sorted(server.run([*_open_files(folder), "-printf", "%f\\n"]).stdout.split())
    return f"other users can read {', '.join(found)} in {folder.path}" if found else None


def _open_files(folder: Folder) -> tuple[str, ...]:
    """Returns the beginning of a `find` for the private files that others may read or write."""
    names = [word for name in folder.private for word in ("-o", "-name", name)]
    return ("find", folder.path, "-maxdepth", "1", "-perm", "/077", "(", "-false", *names, ")")


def _installed(server: Server, package: str) -> bool:
    done = server.run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", package])
    return done.stdout.strip() == "installed"


def _docker_problem(server: Server) -> str | None:
    for what, argv, oldest in (
        ("engine", ["dockerd", "--version"], OLDEST_ENGINE),
        ("compose", ["docker", "compose", "version", "--short"], OLDEST_COMPOSE),
    ):
        done = server.run(argv)
        version = re.search(r"(\d+)\.(\d+)", done.stdout)
        if done.code != 0 or version is None:
            return f"{what} is not installed"
        if (int(version[1]), int(version[2])) < oldest:
            return f"{what} has version {version[0]}"
    return None


def _json_problem(text: str, path: str, values: Mapping[str, object]) -> str | None:
    try:
        document = json.loads(text or "{}")
        differing = sorted(key for key, value in values.items() if document.get(key) != value)
    except (ValueError, AttributeError):
        return f"{path} is not a JSON object"
    return f"{path} lacks {', '.join(differing)}" if differing else None


def _user_problem(server: Server, user: str, group: str, key: str) -> str | None:
    groups = server.run(["id", "--name", "--groups", user])
    if groups.code != 0:
        return f"there is no user {user}"
    if group not in groups.stdout.split():
        return f"{user} is not in group {group}"
    keys = server.run(["cat", _authorized_keys(user)]).stdout.splitlines()
    if not any(line.split()[:2] == key.split()[:2] for line in keys):
        return f"the deploy key is not in {user}'s authorized_keys"
    return None


def _effect_problem(done: Completed, lines: Sequence[str]) -> str | None:
    printed = {" ".join(line.split()).lower() for line in done.stdout.splitlines()}
    if done.code != 0:
        return next(iter(done.stderr.strip().splitlines()), f"exit code {done.code}")
    # Newer sshds print the same value as another word.
    printed |= {line.replace("prohibit-password", "without-password") for line in printed}
    missing = [line for line in lines if line.lower() not in printed]
    return f"not in effect: {', '.join(missing)}" if missing else None


def _authorized_keys(user: str) -> str:
    return f"/home/{user}/.ssh/authorized_keys"


def _apply(server: Server, setting: Setting) -> None:
    match setting:
        case Packages(packages=packages) | Docker(packages=packages):
            server.run_checked([*APT, "update"], timeout_s=INSTALL_S)
            install = [*APT, "install", "-y", "--no-install-recommends", *packages]
            server.run_checked(install, timeout_s=INSTALL_S)
            if isinstance(setting, Docker):
                _restart(server, "docker")
        case File(path=path, content=content, mode=mode, activation=activation):
            before = server.run(shell.read_argv(path))
            server.put(path, content, mode)
            if (
                activation is Activation.RELOAD_SSH
                and (refused := server.run(["sshd", "-t"])).code != 0
            ):
                _restore(server, path, before, mode)
                raise CommandError(
                    f"{server.host.name}: sshd refuses its settings: {last_line(refused)}; {path} is as it was before",
                    hint="run `sshd -t` on the host, correct the cause, then run this again",
                )
            _activate(server, activation)
        case JsonFile(path=path, values=values, activation=activation):
            text = server.run(shell.read_argv(path)).stdout
            server.put(path, bootstrap.merged(text, values), 0o644)
            _activate(server, activation)
        case User(user=user, group=group, key=key):
            _make_user(server, user, group, key)
        case Folder(path=path, owner=owner):
            server.run_checked(["install", "-d", "-m", "0700", "-o", owner, "-g", owner, path])
            server.run_checked([*_open_files(setting), "-exec", "chmod", "0600", "{}", "+"])
        case InEffect(activation=activation):
            _activate(server, activation)
        case _:
            assert_never(setting)


def _restore(server: Server, path: str, before: Completed, mode: int) -> None:
    if before.code == 0:
        server.put(path, before.stdout, mode)
    else:
        server.run_checked(["rm", "-f", path])


def _make_user(server: Server, user: str, group: str, key: str) -> None:
    server.run_checked(["groupadd", "--force", "--system", group])
    if server.run(["id", user]).code != 0:
        server.run_checked(["useradd", "--create-home", "--shell", "/bin/bash", user])
        # The user has no password, but the account must not be locked: sshd would refuse it.
        server.run_checked(["usermod", "--password", "*", user])
    server.run_checked(["usermod", "--append", "--groups", group, user])
    keys = _authorized_keys(user)
    folder = posixpath.dirname(keys)
    server.run_checked(["install", "-d", "-m", "0700", "-o", user, "-g", user, folder])
    lines = [line for line in server.run(["cat", keys]).stdout.splitlines() if line.strip()]
    if not any(line.split()[:2] == key.split()[:2] for line in lines):
        server.put(keys, "\n".join([*lines, key]) + "\n", 0o600)
    server.run_checked(["chown", f"{user}:{user}", keys])


def _activate(server: Server, activation: Activation | None) -> None:
    match activation:
        case None:
            pass
        case Activation.UPDATE_APT:
            server.run_checked([*APT, "update"], timeout_s=INSTALL_S)
        case Activation.LOAD_SYSCTL:
            file = "/etc/sysctl.d/60-py-cicd.conf"
            server.run_checked(["sysctl", "--quiet", "--load", file])
        case Activation.LOAD_FIREWALL:
            server.run_checked(["nft", "-f", bootstrap.FIREWALL])
        case Activation.ENABLE_FIREWALL | Activation.RESTART_DOCKER | Activation.RELOAD_SSH:
            _restart(server, activation.value)
        case _:
            assert_never(activation)


def _restart(server: Server, service: str) -> None:
    """Enables a service and restarts it; sshd is reloaded only, so that connections survive."""
    if server.run(["test", "-d", "/run/systemd/system"]).code == 0:
        server.run_checked(["systemctl", "daemon-reload"])
        server.run_checked(["systemctl", "enable", service])
        # Reload first: once the engine has read live-restore, a restart leaves containers running.
        server.run(["systemctl", "reload", service])
        if service != "ssh":
            server.run_checked(["systemctl", "restart", service], timeout_s=120)
    elif service in PID_FILES and (pid := server.run(["cat", PID_FILES[service]]).stdout.strip()):
        # The daemon may be stopping already; whether the setting holds is checked afterwards.
        server.run(["kill", "-TERM" if service == "docker" else "-HUP", pid])
