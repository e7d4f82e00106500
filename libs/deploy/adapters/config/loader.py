"""Reads service files, environment files and deploy/images.toml, and reports every problem at once with its path.

The schema is imported when a file is read, because importing pydantic takes longer than most verbs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.adapters.config.checks import (
    problems_of_environment,
    problems_of_routes,
    problems_of_service,
)
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
    RegistryConfig,
    Rollout,
    Route,
    SecretRef,
    SecretStoreConfig,
    Service,
    Task,
    Tasks,
)
from deploy.core.toml_text import MAX_BYTES, TomlError, parse_toml
from deploy.errors import ConfigError

if TYPE_CHECKING:
    from deploy.adapters.config.schema import (
        EnvironmentForm,
        Form,
        ServiceForm,
    )


VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
"""A variable in a path of an environment file. GitLab passes files to a job in such variables (type file)."""

MOST_PROBLEMS = 50
"""The most problems that one error lists."""

type Check = Callable[[Mapping[str, Any]], Iterable[str]]


def load_services(root: Path) -> dict[str, Service]:
    """Returns the services in services/*/service.toml below `root`, by name. Raises ConfigError with all problems."""
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


def read_given(file: Path) -> dict[str, Any]:
    """Returns the settings that a file has, as they stand there. Raises ConfigError."""
    try:
        with file.open("rb") as opened:
            return parse_toml(opened.read(MAX_BYTES + 1))
    except (OSError, TomlError) as error:
        raise ConfigError(f"{file} can't be read: {error}; nothing was changed") from error


def load_job_images(path: Path) -> dict[str, JobImage]:
    """Returns the job images in deploy/images.toml, by name. Raises ConfigError with all problems."""
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
    """Returns the environment in a file. Paths in it are relative to it. Raises ConfigError with all problems.

    `$NAME` in a path is replaced by that variable's value. A variable that isn't set is left in the path, and `path_of`
    raises. If `services` are given, an override of any other service is a problem too.
    """
    from deploy.adapters.config.schema import EnvironmentForm

    problems: list[str] = []
    check = partial(problems_of_environment, services=services)
    form = _read(path, path.name, EnvironmentForm, check, problems)
    _raise_for(problems, str(path))
    assert form is not None, "a file without a value has a problem"
    return _environment(form, path.absolute().parent)


def require_distinct_routes(services: Iterable[Service], environment: Environment) -> None:
    """Raises ConfigError if the environment's overrides give two services the same route."""
    merged = (for_environment(service, environment) for service in services)
    _raise_for([*problems_of_routes(merged)], f"environment {environment.name}")


def for_environment(service: Service, environment: Environment) -> Service:
    """Returns the service with the environment's override applied.

    Raises ConfigError if the two together set a variable twice, in `env` and in `secrets`.
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
    duplicates = (
        name for name, ref in merged.secrets.items() if ref.into == "env" and name in merged.env
    )
    _raise_for(
        [
            f"services.{service.name}.secrets.{name}: env sets the same variable"
            for name in duplicates
        ],
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
    given["public_env"] = tuple(given.get("public_env", ()))
    return Service(**given)


def _gate(given: Mapping[str, Any]) -> dict[str, Any]:
    gate = dict(given)
    if "paths" in gate:
        gate["paths"] = tuple(gate["paths"])
    if "conditions" in gate:
        gate["conditions"] = tuple(Condition(**condition) for condition in gate["conditions"])
    return gate


def _tasks(given: Mapping[str, Any]) -> dict[str, Task]:
    return {
        when: Task(**{**task, "command": tuple(task["command"])}) for when, task in given.items()
    }


def _secrets(given: Mapping[str, Any]) -> dict[str, SecretRef]:
    return {
        name: SecretRef(
            store, entry[store], entry.get("field", ""), entry.get("into", SecretRef.into)
        )
        for name, entry in given.items()
        for store in STORES
        if store in entry
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
    jump = given.pop("jump", None)
    given |= {
        "known_hosts": _absolute(given["known_hosts"], folder),
        "ssh_key": _absolute(given["ssh_key"], folder),
        "registry": RegistryConfig(**registry),
        "edge": edge,
        "secrets": SecretStoreConfig(**stores),
        "metrics": metrics,
        "hosts": tuple(_host(host, edge, metrics, jump) for host in given["hosts"]),
        "overrides": given.pop("services", {}),
    }
    return Environment(**given)


def _metrics(given: dict[str, Any] | None, folder: Path) -> Metrics | None:
    if given is None:
        return None
    files = ("ca", "cert", "key", "password_file")
    return Metrics(**{**given, **{file: _absolute(given[file], folder) for file in files}})


def _host(
    given: dict[str, Any], edge: Edge, metrics: Metrics | None, default_jump: str | None
) -> HostConfig:
    address = f"[{given['address']}]" if ":" in given["address"] else given["address"]
    port = "" if edge.http_port == 80 else f":{edge.http_port}"
    metrics_port = metrics.port if metrics else Metrics.port
    defaults = {"url": f"http://{address}{port}", "metrics_address": f"{address}:{metrics_port}"}
    values = {**defaults, **given, "url": given.get("url", defaults["url"]).rstrip("/")}
    jump = values.pop("jump", default_jump)
    return HostConfig(**values, jump=_jump(jump or "none"))


def _jump(text: str) -> Jump | None:
    if text == "none":
        return None
    user, _, machine = text.partition("@")
    address, _, port = machine.partition(":")
    return Jump(user, address, int(port or Jump.port))


def _absolute(path: str, folder: Path) -> str:
    path = VARIABLE.sub(lambda match: os.environ.get(match[1]) or match[0], path)
    if VARIABLE.search(path):  # `path_of` raises; most verbs need none of these files
        return path
    try:
        return os.path.normpath(folder / Path(path).expanduser())
    except RuntimeError:
        name = path.partition("/")[0]
        raise ConfigError(
            f"the environment file names a file by {name}, and this machine has no user {name[1:]}; "
            "nothing was changed",
            hint="name the file by its path, or by ~/ for a file in your own home",
        ) from None


def path_of(path: str) -> Path:
    """Returns a path from an environment file. Raises ConfigError if a variable in it isn't set."""
    if unset := VARIABLE.search(path):
        raise ConfigError(
            f"the environment file names a file by {unset[0]}, and {unset[1]} is not set; nothing was changed",
            hint=f"in CI, make {unset[1]} a variable of type file; on this machine, export {unset[1]}=PATH",
        )
    return Path(path)


def _read[F: Form](
    file: Path, shown: str, form: type[F], check: Check, problems: list[str]
) -> F | None:
    """Returns the filled form, or None after adding the file's problems to `problems`, each with the path `shown`."""
    from deploy.adapters.config.problems import parse

    filled, found = None, list[str]()
    try:
        with file.open("rb") as opened:
            document = parse_toml(opened.read(MAX_BYTES + 1))
        filled, found = parse(document, form)
        found += check(document)
    except OSError as error:
        found.append(f"can't be read: {error.strerror}")
    except TomlError as error:
        found.append(str(error))
    problems += [f"{shown}: {problem}" for problem in found]
    return filled


def _raise_for(problems: list[str], where: str) -> None:
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        more = len(problems) - MOST_PROBLEMS
        shown = [*problems[:MOST_PROBLEMS], *([f"... and {more} more"] if more > 0 else [])]
        raise ConfigError(
            f"{count} in {where}; nothing was changed",
            problems=tuple(shown),
            hint="correct what is listed, then run this again",
        )
