"""Reads service files, environment files and the process's environment; never anything else's job.

It is the only reader of them. Every problem of every file is reported at once, with its path. The forms, and pydantic
with them, are imported when a file is read.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.core.config import (
    Condition,
    Edge,
    Environment,
    Gate,
    Health,
    HostConfig,
    Jump,
    Metrics,
    Registry,
    Rollout,
    Route,
    SecretRef,
    SecretStores,
    Service,
    Task,
    Tasks,
)
from deploy.errors import ConfigError

if TYPE_CHECKING:
    from deploy.adapters.forms import EnvironmentForm, Form, ServiceForm

STORES = ("env", "file", "ssm", "secretsmanager")
"""Where secrets are, as `SecretForm` names the stores."""

VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
"""A variable in a path of an environment file, as GitLab names a variable of type file."""

type Check = Callable[[Mapping[str, Any]], Iterable[str]]


def load_services(root: Path) -> dict[str, Service]:
    """Reads services/*/service.toml below `root`, by name. Raises ConfigError with all problems."""
    from deploy.adapters.forms import ServiceForm

    services: dict[str, Service] = {}
    routes: dict[Route, str] = {}
    problems: list[str] = []
    for file in sorted(root.glob("services/*/service.toml")):
        shown = file.relative_to(root).as_posix()
        check = partial(_problems_of_service, folder=file.parent.name)
        form = _read(file, shown, ServiceForm, check, problems)
        if form is None:
            continue
        service = _service(form)
        if (first := routes.setdefault(service.route, shown)) != shown:
            problems.append(f"{shown}: route: {first} has the same path and host")
        services[service.name] = service
    _raise_for(problems, "the service files")
    return services


def load_environment(path: Path, *, services: Collection[str] | None = None) -> Environment:
    """Reads an environment file, paths in it relative to it. Raises ConfigError with all problems.

    `$NAME` in a path is what that variable holds; one that isn't set stays, for `path_of` to tell. Where `services`
    are given, an override of any other is a problem too.
    """
    from deploy.adapters.forms import EnvironmentForm

    problems: list[str] = []
    check = partial(_problems_of_environment, services=services)
    form = _read(path, path.name, EnvironmentForm, check, problems)
    _raise_for(problems, str(path))
    assert form is not None, "a file without a value has a problem"
    return _environment(form, path.absolute().parent)


def for_environment(service: Service, environment: Environment) -> Service:
    """Returns the service as this environment has it: its file, with the environment's override.

    Raises ConfigError for a variable that the two together set twice.
    """
    override: dict[str, Any] = dict(environment.overrides.get(service.name, {}))
    if "env" in override:
        override["env"] = {**service.env, **override["env"]}
    if "secrets" in override:
        override["secrets"] = {**service.secrets, **_secrets(override["secrets"])}
    if "health" in override:
        override["health"] = replace(service.health, **override["health"])
    if "route" in override:
        override["route"] = replace(service.route, **override["route"])
    if "rollout" in override:
        override["rollout"] = replace(service.rollout, **override["rollout"])
    if "gate" in override:
        override["gate"] = replace(service.gate, **_gate(override["gate"]))
    if "tasks" in override:
        override["tasks"] = replace(service.tasks, **_tasks(override["tasks"]))
    merged = replace(service, **override)
    twice = (
        name for name, ref in merged.secrets.items() if ref.into == "env" and name in merged.env
    )
    _raise_for(
        [f"services.{service.name}.secrets.{name}: the service's env has it too" for name in twice],
        f"environment {environment.name}",
    )
    return merged


def _service(form: ServiceForm) -> Service:
    given = form.given()
    given["route"] = Route(**given.get("route", {}))
    given["health"] = Health(**given.get("health", {}))
    given["rollout"] = Rollout(**given.get("rollout", {}))
    given["gate"] = Gate(**_gate(given.get("gate", {})))
    given["tasks"] = Tasks(**_tasks(given.get("tasks", {})))
    given["secrets"] = _secrets(given.get("secrets", {}))
    return Service(**given)


def _gate(given: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(given)
    if "paths" in told:
        told["paths"] = tuple(told["paths"])
    if "conditions" in told:
        told["conditions"] = tuple(Condition(**each) for each in told["conditions"])
    return told


def _tasks(given: Mapping[str, Any]) -> dict[str, Task]:
    return {
        when: Task(**{**task, "command": tuple(task["command"])}) for when, task in given.items()
    }


def _secrets(given: Mapping[str, Any]) -> dict[str, SecretRef]:
    return {
        name: SecretRef(store, said[store], said.get("field", ""), said.get("into", SecretRef.into))
        for name, said in given.items()
        for store in STORES
        if store in said
    }


def _environment(form: EnvironmentForm, folder: Path) -> Environment:
    given = form.given()
    registry = given["registry"]
    if "credentials" in registry:
        registry["credentials"] = _absolute(registry["credentials"], folder)
    stores = given.get("secrets", {})
    if "credentials" in stores:
        stores["credentials"] = _absolute(stores["credentials"], folder)
    edge = Edge(**given.get("edge", {}))
    metrics = _metrics(given.get("metrics"), folder)
    through = given.pop("jump", None)
    given |= {
        "known_hosts": _absolute(given["known_hosts"], folder),
        "ssh_key": _absolute(given["ssh_key"], folder),
        "registry": Registry(**registry),
        "edge": edge,
        "secrets": SecretStores(**stores),
        "metrics": metrics,
        "hosts": tuple(_host(host, edge, metrics, through) for host in given["hosts"]),
        "overrides": given.pop("services", {}),
    }
    return Environment(**given)


def _metrics(given: dict[str, Any] | None, folder: Path) -> Metrics | None:
    if given is None:
        return None
    files = ("ca", "cert", "key", "password_file")
    return Metrics(**{**given, **{file: _absolute(given[file], folder) for file in files}})


def _host(
    given: dict[str, Any], edge: Edge, metrics: Metrics | None, through: str | None
) -> HostConfig:
    address = f"[{given['address']}]" if ":" in given["address"] else given["address"]
    port = "" if edge.http_port == 80 else f":{edge.http_port}"
    metrics_port = metrics.port if metrics else Metrics.port
    defaults = {"url": f"http://{address}{port}", "metrics_address": f"{address}:{metrics_port}"}
    said = {**defaults, **given, "url": given.get("url", defaults["url"]).rstrip("/")}
    jump = said.pop("jump", through)
    return HostConfig(**said, jump=_jump(jump or "none"))


def _jump(text: str) -> Jump | None:
    if text == "none":
        return None
    user, _, place = text.partition("@")
    address, _, port = place.partition(":")
    return Jump(user, address, int(port or Jump.port))


def _absolute(path: str, folder: Path) -> str:
    path = VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[0], path)
    if VARIABLE.search(path):  # told by `path_of`: most verbs need none of these files
        return path
    return os.path.normpath(folder / Path(path).expanduser())


def path_of(path: str) -> Path:
    """Returns a path that an environment file names. Raises ConfigError for one by a variable that isn't set."""
    if unset := VARIABLE.search(path):
        raise ConfigError(
            f"the environment names a file by {unset[0]}, and {unset[1]} is not set; nothing was touched",
            hint=f"in CI, make {unset[1]} a variable of type file; here, export {unset[1]}=PATH",
        )
    return Path(path)


# Checks between keys. They look at what the file says, right or wrong, so that one run shows all.


def _problems_of_service(said: Mapping[str, Any], *, folder: str) -> Iterator[str]:
    if isinstance(name := said.get("name"), str) and name != folder:
        yield f'name: should be "{folder}", as its folder'
    ports = {"port": Service.port, "metrics_port": Service.metrics_port}
    yield from _shared_ports({key: said.get(key, port) for key, port in ports.items()})
    yield from _boundless(said, "")
    yield from _problems_of_secrets(said, "")


def _problems_of_secrets(said: Mapping[str, Any], where: str) -> Iterator[str]:
    plain = _table(said, "env")
    for name, secret in _table(said, "secrets").items():
        given = secret if isinstance(secret, dict) else {}
        stores = [store for store in STORES if store in given]
        if isinstance(secret, dict) and len(stores) != 1:
            yield f"{where}secrets.{name}: should name one of {', '.join(STORES)}, not {len(stores)}"
        if name in plain and given.get("into") == "env":
            yield f"{where}secrets.{name}: {where}env.{name} is the same variable"


def _problems_of_environment(
    said: Mapping[str, Any], *, services: Collection[str] | None
) -> Iterator[str]:
    edge, metrics = _table(said, "edge"), _table(said, "metrics")
    ports = {
        "edge.http_port": edge.get("http_port", Edge.http_port),
        "edge.preview_port": edge.get("preview_port", Edge.preview_port),
    }
    if metrics:
        ports["metrics.port"] = metrics.get("port", Metrics.port)
    yield from _shared_ports(ports)
    listed = said.get("hosts")
    hosts = [host for host in listed if isinstance(host, dict)] if isinstance(listed, list) else []
    names = [host.get("name") for host in hosts]
    yield from (f"hosts: two are named {name}" for name in _twice(names))
    through = said.get("jump")
    reached = [
        (host.get("address"), host.get("port", HostConfig.port), host.get("jump", through))
        for host in hosts
    ]
    yield from (
        f"hosts: two are reached at {where}, port {port}" for where, port, _ in _twice(reached)
    )
    for name in _table(said, "services"):
        override = _table(_table(said, "services"), name)
        yield from _boundless(override, f"services.{name}.")
        yield from _problems_of_secrets(override, f"services.{name}.")
    from deploy.adapters.forms import unknown

    for name in _table(said, "services") if services is not None else ():
        if name not in (services or ()):
            yield f"services.{name}: {unknown(name, services or (), 'service')}"


def _boundless(said: Mapping[str, Any], where: str) -> Iterator[str]:
    listed = _table(said, "gate").get("conditions")
    for number, each in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(each, dict) and not {"at_most", "at_least"} & set(each):
            yield f"{where}gate.conditions[{number}]: needs at_most, at_least or both"


def _shared_ports(ports: Mapping[str, object]) -> Iterator[str]:
    users: dict[int, str] = {}
    for key, port in ports.items():
        if isinstance(port, int) and (user := users.setdefault(port, key)) != key:
            yield f"{key}: {port} is {user} already"


def _table(said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = said.get(key)
    return found if isinstance(found, dict) else {}


def _twice[T](values: Iterable[T]) -> list[T]:
    seen = list(values)
    return [value for at, value in enumerate(seen) if value is not None and seen.index(value) < at]


def _read[F: Form](
    file: Path, shown: str, form: type[F], check: Check, problems: list[str]
) -> F | None:
    """Reads one file; adds what is wrong with it to `problems`, its form is None then."""
    from deploy.adapters.forms import parse

    filled, found = None, list[str]()
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
        filled, found = parse(said, form)
        found += check(said)
    except OSError as error:
        found.append(f"can't be read: {error.strerror}")
    except UnicodeDecodeError as error:
        found.append(f"is no UTF-8 text at byte {error.start}")
    except tomllib.TOMLDecodeError as error:
        found.append(f"is no TOML: {error}")
    problems += [f"{shown}: {problem}" for problem in found]
    return filled


def _raise_for(problems: list[str], where: str) -> None:
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(
            f"{count} in {where}; nothing was touched",
            problems=tuple(problems),
            hint="correct what is listed, then run this again",
        )


# The process's own surroundings.


def read_text(path: Path, *, hint: str = "bring the file back, then run this again") -> str:
    """Reads a text file of the checkout or the environment. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"can't read {path}: {reason}; nothing was touched", hint=hint) from error


def read_package(folder: Path) -> dict[str, str]:
    """Reads a package's modules, without its tests, by file name. Raises ConfigError."""
    modules = (each for each in sorted(folder.glob("*.py")) if not each.stem.endswith("_test"))
    return {each.name: read_text(each) for each in modules}


def who(environ: Mapping[str, str] = os.environ) -> str:
    """Returns who acts, for the record: the pipeline's user, else the login on this machine."""
    if login := environ.get("GITLAB_USER_LOGIN"):
        return login
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return f"uid {os.getuid()}@{socket.gethostname()}"


def pipeline(environ: Mapping[str, str] = os.environ) -> str:
    """Returns the address of the pipeline that runs this, empty outside of one."""
    return environ.get("CI_PIPELINE_URL") or environ.get("CI_JOB_URL") or ""
