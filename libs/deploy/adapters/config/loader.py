"""Reads service files, environment files and the process's environment; never anything else's job.

It is the only reader of them. Every problem of every file is reported at once, with its path. The forms, and pydantic
with them, are imported when a file is read.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.adapters.config.checks import problems_of_environment, problems_of_service
from deploy.core.config import (
    STORES,
    Condition,
    Edge,
    Environment,
    Gate,
    Health,
    HostConfig,
    JobImage,
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
    from deploy.adapters.config.schema import (
        EnvironmentForm,
        Form,
        ServiceForm,
    )


VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
"""A variable in a path of an environment file, as GitLab names a variable of type file."""

type Check = Callable[[Mapping[str, Any]], Iterable[str]]


def load_services(root: Path) -> dict[str, Service]:
    """Reads services/*/service.toml below `root`, by name. Raises ConfigError with all problems."""
    from deploy.adapters.config.schema import ServiceForm

    services: dict[str, Service] = {}
    routes: dict[Route, str] = {}
    problems: list[str] = []
    for file in sorted(root.glob("services/*/service.toml")):
        shown = file.relative_to(root).as_posix()
        check = partial(problems_of_service, folder=file.parent.name)
        form = _read(file, shown, ServiceForm, check, problems)
        if form is None:
            continue
        service = _service(form)
        if (first := routes.setdefault(service.route, shown)) != shown:
            problems.append(f"{shown}: route: {first} has the same path and host")
        services[service.name] = service
    _raise_for(problems, "the service files")
    return services


def load_job_images(path: Path) -> dict[str, JobImage]:
    """Reads deploy/images.toml, by name. Raises ConfigError with all problems."""
    from deploy.adapters.config.schema import JobImagesForm

    problems: list[str] = []
    form = _read(path, path.name, JobImagesForm, lambda _: (), problems)
    _raise_for(problems, str(path))
    assert form is not None, "a file without a value has a problem"
    return {
        name: JobImage(name, image.target, tuple(image.bases), tuple(image.commands))
        for name, image in form.images.items()
    }


def load_environment(path: Path, *, services: Collection[str] | None = None) -> Environment:
    """Reads an environment file, paths in it relative to it. Raises ConfigError with all problems.

    `$NAME` in a path is what that variable holds; one that isn't set stays, for `path_of` to tell. Where `services`
    are given, an override of any other is a problem too.
    """
    from deploy.adapters.config.schema import EnvironmentForm

    problems: list[str] = []
    check = partial(problems_of_environment, services=services)
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


def _read[F: Form](
    file: Path, shown: str, form: type[F], check: Check, problems: list[str]
) -> F | None:
    """Reads one file; adds what is wrong with it to `problems`, its form is None then."""
    from deploy.adapters.config.schema import parse

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
