"""Reads service files, environment files and the process's environment; never anything else's job.

It is the only reader of them. Every problem of every file is reported at once, with its path.
"""

from __future__ import annotations

import getpass
import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from deploy.core.config import (
    Edge,
    Environment,
    Health,
    HostConfig,
    Metrics,
    Registry,
    Route,
    Service,
)
from deploy.core.releases import MOST_REPLICAS
from deploy.errors import ConfigError

RESERVED = frozenset(
    {"SERVICE", "RELEASE", "REVISION", "CONFIG_HASH", "REPLICA", "PORT", "METRICS_PORT"}
)
"""What the tool tells every replica itself."""

LEFT_OUT: Any = None
"""Default of an optional key: forms are dumped without it, so that `core.config` alone has defaults."""


# What a value has to look like.


def _should(be: str, holds: Callable[[str], object]) -> AfterValidator:
    def check(value: str) -> str:
        if not holds(value):
            raise PydanticCustomError("form", "{be}", {"be": f"should be {be}"})
        return value

    return AfterValidator(check)


def _like(pattern: str, be: str) -> AfterValidator:
    return _should(be, re.compile(pattern).fullmatch)


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_subnet(value: str) -> bool:
    try:
        return ipaddress.IPv4Network(value).prefixlen == 16
    except ValueError:
        return False


Name = Annotated[str, _like("[a-z][a-z0-9-]{0,30}", "a name of a-z, 0-9 and -, such as app-2")]
Address = Annotated[
    str, _like("[A-Za-z0-9][A-Za-z0-9.-]*|[0-9a-fA-F:]+:[0-9a-fA-F:]*", "a host name or an address")
]
HostAndPort = Annotated[str, _like(r"[A-Za-z0-9._-]+:[0-9]{1,5}", "a host and a port, host:port")]
UrlPath = Annotated[str, _like("/[A-Za-z0-9._~/-]*", 'a path that starts with "/"')]
Url = Annotated[str, _should("an address that starts with http:// or https://", _is_web_address)]
Memory = Annotated[str, _like("[1-9][0-9]*[kmg]", 'an amount such as "256m" or "1g"')]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Variable = Annotated[
    str,
    _like("[A-Za-z_][A-Za-z0-9_]*", "the name of a variable"),
    _should("left out: the tool itself sets it", lambda name: name not in RESERVED),
]
VariableText = Annotated[str, _should("text on one line", lambda text: "\n" not in text)]
FilePath = Annotated[str, _should("the path of a file", bool)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def given(self) -> dict[str, Any]:
        """Returns what the file says, without what it leaves out."""
        return self.model_dump(exclude_unset=True)


class _RouteForm(_Form):
    path: UrlPath = LEFT_OUT
    host: Annotated[str, _like("[a-z0-9.-]*", "a host name in lower case")] = LEFT_OUT


class _HealthForm(_Form):
    path: UrlPath = LEFT_OUT
    interval_s: Seconds = LEFT_OUT
    successes: Count = LEFT_OUT
    min_healthy_s: Pause = LEFT_OUT
    startup_deadline_s: Seconds = LEFT_OUT
    drain_s: Pause = LEFT_OUT


class _OverrideForm(_Form):
    """What an environment may say otherwise about a service."""

    replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS)] = LEFT_OUT
    memory: Memory = LEFT_OUT
    route: _RouteForm = LEFT_OUT
    health: _HealthForm = LEFT_OUT
    env: dict[Variable, VariableText] = LEFT_OUT


class _ServiceForm(_OverrideForm):
    name: Name
    image: Annotated[
        str, _like(r"[\w./-]+:[\w.-]+", "a target's address, such as services/app:image")
    ]
    port: Port = LEFT_OUT
    metrics_port: Port = LEFT_OUT
    source: Url = LEFT_OUT


class _RegistryForm(_Form):
    account: Annotated[str, _like("[0-9]{12}", "an AWS account of 12 digits, in quotes")]
    region: Annotated[str, _like("[a-z]{2}(-[a-z]+)+-[0-9]", "an AWS region such as eu-central-1")]
    endpoint_url: Url = LEFT_OUT
    push_via: HostAndPort = LEFT_OUT
    credentials: FilePath = LEFT_OUT


class _EdgeForm(_Form):
    http_port: Port = LEFT_OUT
    preview_port: Port = LEFT_OUT
    subnet: Annotated[str, _should("an IPv4 network such as 10.213.0.0/16", _is_subnet)] = LEFT_OUT


class _MetricsForm(_Form):
    prometheus_url: Url
    ca: FilePath
    cert: FilePath
    key: FilePath
    password_file: FilePath
    user: Annotated[str, _like("[^:\n]+", "a name without a colon")] = LEFT_OUT
    port: Port = LEFT_OUT
    interval_s: Count = LEFT_OUT


class _HostForm(_Form):
    name: Name
    address: Address
    port: Port = LEFT_OUT
    user: Annotated[str, _like("[a-z_][a-z0-9_-]{0,31}", "a user's name")] = LEFT_OUT
    url: Url = LEFT_OUT
    metrics_address: HostAndPort = LEFT_OUT


class _EnvironmentForm(_Form):
    name: Name
    known_hosts: FilePath
    ssh_key: FilePath
    allow_dirty: bool = LEFT_OUT
    keep_releases: Count = LEFT_OUT
    registry: _RegistryForm
    edge: _EdgeForm = LEFT_OUT
    metrics: _MetricsForm = LEFT_OUT
    hosts: Annotated[list[_HostForm], Field(min_length=1)]
    services: dict[Name, _OverrideForm] = LEFT_OUT


# From files to values.

type Check = Callable[[Mapping[str, Any]], Iterable[str]]


def load_services(root: Path) -> dict[str, Service]:
    """Reads services/*/service.toml below `root`, by name. Raises ConfigError with all problems."""
    services: dict[str, Service] = {}
    routes: dict[Route, str] = {}
    problems: list[str] = []
    for file in sorted(root.glob("services/*/service.toml")):
        shown = file.relative_to(root).as_posix()
        check = partial(_problems_of_service, folder=file.parent.name)
        form = _read(file, shown, _ServiceForm, check, problems)
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

    Where `services` are given, an override of any other is a problem too.
    """
    problems: list[str] = []
    check = partial(_problems_of_environment, services=services)
    form = _read(path, path.name, _EnvironmentForm, check, problems)
    _raise_for(problems, str(path))
    assert form is not None, "a file without a value has a problem"
    return _environment(form, path.absolute().parent)


def for_environment(service: Service, environment: Environment) -> Service:
    """Returns the service as this environment has it: its file, with the environment's override."""
    override: dict[str, Any] = dict(environment.overrides.get(service.name, {}))
    if "env" in override:
        override["env"] = {**service.env, **override["env"]}
    if "health" in override:
        override["health"] = replace(service.health, **override["health"])
    if "route" in override:
        override["route"] = replace(service.route, **override["route"])
    return replace(service, **override)


def _service(form: _ServiceForm) -> Service:
    given = form.given()
    given["route"] = Route(**given.get("route", {}))
    given["health"] = Health(**given.get("health", {}))
    return Service(**given)


def _environment(form: _EnvironmentForm, folder: Path) -> Environment:
    given = form.given()
    registry = given["registry"]
    if "credentials" in registry:
        registry["credentials"] = _absolute(registry["credentials"], folder)
    edge = Edge(**given.get("edge", {}))
    metrics = _metrics(given.get("metrics"), folder)
    given |= {
        "known_hosts": _absolute(given["known_hosts"], folder),
        "ssh_key": _absolute(given["ssh_key"], folder),
        "registry": Registry(**registry),
        "edge": edge,
        "metrics": metrics,
        "hosts": tuple(_host(host, edge, metrics) for host in given["hosts"]),
        "overrides": given.pop("services", {}),
    }
    return Environment(**given)


def _metrics(given: dict[str, Any] | None, folder: Path) -> Metrics | None:
    if given is None:
        return None
    files = ("ca", "cert", "key", "password_file")
    return Metrics(**{**given, **{file: _absolute(given[file], folder) for file in files}})


def _host(given: dict[str, Any], edge: Edge, metrics: Metrics | None) -> HostConfig:
    address = f"[{given['address']}]" if ":" in given["address"] else given["address"]
    port = "" if edge.http_port == 80 else f":{edge.http_port}"
    metrics_port = metrics.port if metrics else Metrics.port
    defaults = {"url": f"http://{address}{port}", "metrics_address": f"{address}:{metrics_port}"}
    return HostConfig(**{**defaults, **given, "url": given.get("url", defaults["url"]).rstrip("/")})


def _absolute(path: str, folder: Path) -> str:
    return os.path.normpath(folder / Path(path).expanduser())


# Checks between keys. They look at what the file says, right or wrong, so that one run shows all.


def _problems_of_service(said: Mapping[str, Any], *, folder: str) -> Iterator[str]:
    if isinstance(name := said.get("name"), str) and name != folder:
        yield f'name: should be "{folder}", as its folder'
    ports = {"port": Service.port, "metrics_port": Service.metrics_port}
    yield from _shared_ports({key: said.get(key, port) for key, port in ports.items()})


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
    reached = [(host.get("address"), host.get("port", HostConfig.port)) for host in hosts]
    yield from (
        f"hosts: two are reached at {where}, port {port}" for where, port in _twice(reached)
    )
    for name in _table(said, "services") if services is not None else ():
        if name not in (services or ()):
            yield f"services.{name}: {_unknown(name, services or (), 'service')}"


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


# What is wrong, in words.


def _read[F: _Form](
    file: Path, shown: str, form: type[F], check: Check, problems: list[str]
) -> F | None:
    """Reads one file; adds what is wrong with it to `problems` and returns None then."""
    found: list[str] = []
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
        found = list(check(said))
        return form.model_validate(said)
    except OSError as error:
        found.append(f"can't be read: {error.strerror}")
    except UnicodeDecodeError as error:
        found.append(f"is no UTF-8 text at byte {error.start}")
    except tomllib.TOMLDecodeError as error:
        found.append(f"is no TOML: {error}")
    except ValidationError as error:
        found = [_described(each, form) for each in error.errors()] + found
    finally:
        problems += [f"{shown}: {problem}" for problem in found]
    return None


def _raise_for(problems: list[str], where: str) -> None:
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(
            f"{count} in {where}; nothing was touched",
            problems=tuple(problems),
            hint="correct what is listed, then run this again",
        )


def _described(error: ErrorDetails, form: type[_Form]) -> str:
    place, context = error["loc"], error.get("ctx", {})
    match error["type"]:
        case "missing":
            what = "is missing"
        case "extra_forbidden":
            what = _unknown(str(place[-1]), _keys_at(form, place), "key")
        case "int_type" | "int_from_float":
            what = "should be an integer"
        case "float_type":
            what = "should be a number"
        case "finite_number":
            what = "should be a finite number"
        case "string_type":
            what = "should be text in quotes"
        case "bool_type":
            what = "should be true or false"
        case "list_type":
            what = "should be a list of tables, as in [[hosts]]"
        case "too_short":
            what = "should list at least one"
        case "dict_type" | "model_type":
            what = "should be a table"
        case "greater_than":
            what = f"should be more than {context['gt']:g}"
        case "greater_than_equal":
            what = f"should be at least {context['ge']:g}"
        case "less_than_equal":
            what = f"should be at most {context['le']:g}"
        case _:
            what = error["msg"]
    return f"{_dotted(place)}: {what}"


def _dotted(place: Iterable[int | str]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return "".join(part for part in parts if part != ".[key]").removeprefix(".")


def _unknown(name: str, known: Collection[str], kind: str) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f"unknown {kind}; did you mean {close[0]}?"
    return f"unknown {kind}; known are {', '.join(sorted(known))}"


def _keys_at(form: type[_Form], place: tuple[int | str, ...]) -> list[str]:
    """Returns the keys that are known in the table that holds `place`."""
    for part in place[:-1]:
        if part in form.model_fields:  # else an index, or a name in a table of tables
            form = next(_forms_in(form.model_fields[str(part)].annotation), form)
    return list(form.model_fields)


def _forms_in(annotation: object) -> Iterator[type[_Form]]:
    if isinstance(annotation, type) and issubclass(annotation, _Form):
        yield annotation
    for inner in get_args(annotation):
        yield from _forms_in(inner)


# The process's own surroundings.


def read_text(path: Path) -> str:
    """Reads a text file of the checkout or the environment. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(
            f"can't read {path}: {reason}; nothing was touched",
            hint="bring the file back, then run this again",
        ) from error


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
