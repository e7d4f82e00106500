"""The schema of service files, environment files and deploy/images.toml, as pydantic models."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from deploy.core.state.release import MOST_REPLICAS

RESERVED = frozenset(
    {"SERVICE", "RELEASE", "REVISION", "CONFIG_HASH", "REPLICA", "PORT", "METRICS_PORT"}
)
"""Variables that the tool sets in every replica."""

LEFT_OUT: Any = None
"""The default of optional keys. Forms are dumped without them, so the real defaults are in `core.config` only."""


# Types of values.


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
JumpText = Annotated[
    str,
    _like(
        r"none|[a-z_][a-z0-9_-]{0,31}@[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?",
        'a login and a machine, such as "ops@bastion.example.com:22", or "none"',
    ),
]
TargetAddress = Annotated[
    str, _like(r"[\w./-]+:[\w.-]+", "a target's address, such as services/app:image")
]
UrlPath = Annotated[str, _like("/[A-Za-z0-9._~/-]*", 'a path that starts with "/"')]
Url = Annotated[str, _should("an address that starts with http:// or https://", _is_web_address)]
Memory = Annotated[str, _like("[1-9][0-9]*[kmg]", 'an amount such as "256m" or "1g"')]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, allow_inf_nan=False)]
CiVariable = Annotated[str, _like("[A-Za-z_][A-Za-z0-9_]*", "the name of a variable")]
Variable = Annotated[
    str,
    _like("[A-Za-z_][A-Za-z0-9_]*", "the name of a variable"),
    _should("left out: the tool sets it", lambda name: name not in RESERVED),
]
VariableText = Annotated[str, _should("text on one line", lambda text: "\n" not in text)]
Region = Annotated[str, _like("[a-z]{2}(-[a-z]+)+-[0-9]", "an AWS region such as eu-central-1")]
FilePath = Annotated[str, _should("the path of a file", bool)]


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def given(self) -> dict[str, Any]:
        """Returns the keys that the file has, with their values."""
        return self.model_dump(exclude_unset=True)


class RouteForm(Form):
    path: UrlPath = LEFT_OUT
    host: Annotated[str, _like("[a-z0-9.-]*", "a host name in lower case")] = LEFT_OUT


class HealthForm(Form):
    path: UrlPath = LEFT_OUT
    interval_s: Seconds = LEFT_OUT
    successes: Count = LEFT_OUT
    min_healthy_s: Pause = LEFT_OUT
    startup_deadline_s: Seconds = LEFT_OUT
    healthy_deadline_s: Seconds = LEFT_OUT
    # Below nginx's worker_shutdown_timeout (deploy/nginx/nginx.conf), which would end requests before it.
    drain_s: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = LEFT_OUT


class RolloutForm(Form):
    max_parallel: Count = LEFT_OUT
    batch_pause_s: Pause = LEFT_OUT
    watch_s: Pause = LEFT_OUT
    max_error_share: Annotated[float, Field(ge=0, le=1)] = LEFT_OUT
    hold_s: Seconds = LEFT_OUT


Number = Annotated[float, Field(allow_inf_nan=False)]
GateAction = Annotated[str, _like("rollback|hold|continue", "one of rollback, hold and continue")]


class ConditionForm(Form):
    name: Name
    query: Annotated[str, _should("a PromQL query", bool)]
    at_most: Number = LEFT_OUT
    at_least: Number = LEFT_OUT


class GateForm(Form):
    enabled: bool = LEFT_OUT
    min_requests: Annotated[int, Field(ge=1, le=100_000)] = LEFT_OUT
    paths: list[UrlPath] = LEFT_OUT
    alpha: Annotated[float, Field(gt=0, le=0.5)] = LEFT_OUT
    looks: Annotated[int, Field(ge=1, le=100)] = LEFT_OUT
    extend_s: Pause = LEFT_OUT
    baseline_s: Seconds = LEFT_OUT
    slower_s: Pause = LEFT_OUT
    slower_share: Pause = LEFT_OUT
    on_slower: GateAction = LEFT_OUT
    on_unclear: GateAction = LEFT_OUT
    conditions: list[ConditionForm] = LEFT_OUT


class TaskForm(Form):
    command: Annotated[list[str], Field(min_length=1)]
    timeout_s: Seconds = LEFT_OUT


class TasksForm(Form):
    before_switch: TaskForm = LEFT_OUT
    after_switch: TaskForm = LEFT_OUT


class SecretForm(Form):
    """Where a secret is stored. Exactly one store has to be named, which `checks` verifies."""

    env: CiVariable = LEFT_OUT
    file: CiVariable = LEFT_OUT
    ssm: Annotated[
        str, _like(r"[\w./-]+|arn:[\w./:-]+", "the name or ARN of a parameter, such as /app/db")
    ] = LEFT_OUT
    secretsmanager: Annotated[
        str, _like(r"[\w/+=.@:!-]+", "the name or ARN of a secret, such as app/db")
    ] = LEFT_OUT
    field: Annotated[str, _should("the name of a field", bool)] = LEFT_OUT
    into: Annotated[str, _like("file|env", '"file" or "env"')] = LEFT_OUT


class OverrideForm(Form):
    """The settings of a service that an environment can override."""

    replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS)] = LEFT_OUT
    memory: Memory = LEFT_OUT
    route: RouteForm = LEFT_OUT
    health: HealthForm = LEFT_OUT
    rollout: RolloutForm = LEFT_OUT
    gate: GateForm = LEFT_OUT
    tasks: TasksForm = LEFT_OUT
    env: dict[Variable, VariableText] = LEFT_OUT
    secrets: dict[Variable, SecretForm] = LEFT_OUT


class ServiceForm(OverrideForm):
    name: Name
    image: TargetAddress
    port: Port = LEFT_OUT
    metrics_port: Port = LEFT_OUT
    source: Url = LEFT_OUT
    journeys: Annotated[str, _like(r"[\w./-]+_test\.py", "a file such as e2e/journeys_test.py")] = (
        LEFT_OUT
    )


class JobImageForm(Form):
    target: TargetAddress
    bases: Annotated[list[Name], Field(min_length=1)]
    commands: Annotated[list[str], Field(min_length=1)]


class JobImagesForm(Form):
    images: dict[Name, JobImageForm]


class RegistryForm(Form):
    account: Annotated[str, _like("[0-9]{12}", "an AWS account of 12 digits, in quotes")]
    region: Region
    endpoint_url: Url = LEFT_OUT
    push_via: HostAndPort = LEFT_OUT
    credentials: FilePath = LEFT_OUT


class SecretStoresForm(Form):
    region: Region = LEFT_OUT
    endpoint_url: Url = LEFT_OUT
    credentials: FilePath = LEFT_OUT


class EdgeForm(Form):
    http_port: Port = LEFT_OUT
    preview_port: Port = LEFT_OUT
    subnet: Annotated[str, _should("an IPv4 network such as 10.213.0.0/16", _is_subnet)] = LEFT_OUT


class MetricsForm(Form):
    prometheus_url: Url
    ca: FilePath
    cert: FilePath
    key: FilePath
    password_file: FilePath
    user: Annotated[str, _like("[^:\n]+", "a name without a colon")] = LEFT_OUT
    port: Port = LEFT_OUT
    interval_s: Count = LEFT_OUT
    pushgateway_url: Url = LEFT_OUT
    alertmanager_url: Url = LEFT_OUT


class HostForm(Form):
    name: Name
    address: Address
    port: Port = LEFT_OUT
    user: Annotated[str, _like("[a-z_][a-z0-9_-]{0,31}", "a user's name")] = LEFT_OUT
    url: Url = LEFT_OUT
    metrics_address: HostAndPort = LEFT_OUT
    jump: JumpText = LEFT_OUT


class EnvironmentForm(Form):
    name: Name
    known_hosts: FilePath
    ssh_key: FilePath
    allow_dirty: bool = LEFT_OUT
    keep_releases: Count = LEFT_OUT
    jump: JumpText = LEFT_OUT
    registry: RegistryForm
    edge: EdgeForm = LEFT_OUT
    secrets: SecretStoresForm = LEFT_OUT
    metrics: MetricsForm = LEFT_OUT
    hosts: Annotated[list[HostForm], Field(min_length=1)]
    services: dict[Name, OverrideForm] = LEFT_OUT


# Problems as text.


def parse[F: Form](document: Mapping[str, Any], form: type[F]) -> tuple[F | None, list[str]]:
    """Returns the filled form, or None and every problem with its path (`hosts[1].port: ...`)."""
    try:
        return form.model_validate(document), []
    except ValidationError as error:
        return None, [_described(details, form) for details in error.errors()]


def unknown(name: str, known: Collection[str], kind: str) -> str:
    """Returns a problem text for an unknown name, with the most similar known name."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f"unknown {kind}; did you mean {close[0]}?"
    return f"unknown {kind}; known are {', '.join(sorted(known))}"


def _described(error: ErrorDetails, form: type[Form]) -> str:
    path, context = error["loc"], error.get("ctx", {})
    match error["type"]:
        case "missing":
            what = "is missing"
        case "extra_forbidden":
            what = unknown(str(path[-1]), _keys_at(form, path), "key")
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
    return f"{_dotted(path)}: {what}"


def _dotted(path: Iterable[int | str]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(part for part in parts if part != ".[key]").removeprefix(".")


def _keys_at(form: type[Form], path: tuple[int | str, ...]) -> list[str]:
    """Returns the known keys of the table that contains the key at `path`."""
    for part in path[:-1]:
        if part in form.model_fields:  # else an index, or a name in a table of tables
            form = next(_forms_in(form.model_fields[str(part)].annotation), form)
    return list(form.model_fields)


def _forms_in(annotation: object) -> Iterator[type[Form]]:
    if isinstance(annotation, type) and issubclass(annotation, Form):
        yield annotation
    for inner in get_args(annotation):
        yield from _forms_in(inner)
