"""The schema of service files, environment files and deploy/images.toml, as pydantic models."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from deploy.core.state.release import MOST_REPLICAS

RESERVED = frozenset(
    {"SERVICE", "RELEASE", "REVISION", "CONFIG_HASH", "REPLICA", "PORT", "METRICS_PORT", "IMAGE"}
)
"""Variables that the tool sets in every replica."""

RESERVED_NAMES = frozenset(
    {"alerting", "edge", "host", "job", "prometheus", "python", "registry", "ship"}
)
"""Names of the tool's own images. A service's image is a repository of the same registry, by the service's name."""

LEFT_OUT: Any = None
"""The default of optional keys. Forms are dumped without them, so the real defaults are in `core.config` only."""

DAY_S = 86_400.0
LONGEST_PATH = 200

_PRIVATE = tuple(
    ipaddress.IPv4Network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
_DOCKERS_OWN = ipaddress.IPv4Network("172.17.0.0/16")
_LABEL = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_KILOBYTES = {"k": 1, "m": 1024, "g": 1024**2}


# Types of values. What they accept, `docker compose config` and `nginx -t` must accept (e2e/config_test.py).


def _should(be: str, holds: Callable[[str], object]) -> AfterValidator:
    def check(value: str) -> str:
        if not holds(value):
            raise PydanticCustomError("form", "{be}", {"be": f"should be {be}"})
        return value

    return AfterValidator(check)


def _like(pattern: str, be: str) -> AfterValidator:
    return _should(be, re.compile(pattern, re.ASCII).fullmatch)


def _is_host_name(value: str) -> bool:
    """Returns whether DNS could know the name. A last label of digits would make it an IPv4 address."""
    labels = value.split(".")
    fit = all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdecimal()
    return fit and len(value) <= 253


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return _is_host_name(value.lower())
    return "%" not in value


def _is_machine(value: str) -> bool:
    """Returns whether the text is an address with a port."""
    address, _, port = value.rpartition(":")
    return _is_address(address) and port.isdecimal() and 0 < int(port[:6]) <= 65535


def _is_jump(value: str) -> bool:
    machine = value.partition("@")[2]
    return value == "none" or _is_machine(machine if ":" in machine else f"{machine}:22")


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


def _is_free(subnet: str) -> bool:
    network = ipaddress.IPv4Network(subnet)
    return network != _DOCKERS_OWN and any(network.subnet_of(private) for private in _PRIVATE)


def _is_plain_path(path: str) -> bool:
    """Returns whether a request can have the path: nginx compares paths without `//`, `/./` and `/../`."""
    return not {"", ".", ".."} & {*path.strip("/").split("/")} or path == "/"


def _is_memory(value: str) -> bool:
    return 6 * 1024 <= int(value[:-1]) * _KILOBYTES[value[-1]] <= 16 * 1024**3


def _has_home(path: str) -> bool:
    first = path.partition("/")[0]
    return not first.startswith("~") or os.path.expanduser(first) != first


Name = Annotated[
    str,
    _like("[a-z](-?[a-z0-9]){0,30}", "a name of a-z, 0-9 and -, such as app-2"),
    _should("a name of at most 31 characters", lambda name: len(name) <= 31),
]
ServiceName = Annotated[
    Name,
    _should("a name of at least 2 characters", lambda name: len(name) >= 2),
    _should(
        "another name: the tool has an image of this name", lambda name: name not in RESERVED_NAMES
    ),
    _should("another name: py-cicd is the tool's own", lambda name: not name.startswith("py-cicd")),
]
Address = Annotated[str, _should("a host name or an address", _is_address)]
HostAndPort = Annotated[str, _should("a host and a port, host:port", _is_machine)]
JumpText = Annotated[
    str,
    _like(
        r"none|[a-z_][a-z0-9_-]{0,31}@[A-Za-z0-9.:-]+",
        _JUMP := 'a login and a machine, such as "ops@bastion.example.com:22", or "none"',
    ),
    _should(_JUMP, _is_jump),
]
TargetAddress = Annotated[
    str, _like(r"\w[\w./-]*:[\w.-]+", "a target's address, such as services/app:image")
]
UrlPath = Annotated[
    str,
    _like("/[A-Za-z0-9._~/-]*", 'a path that starts with "/"'),
    _should('a path without "//", "/./" and "/../"', _is_plain_path),
    _should(f"a path of at most {LONGEST_PATH} characters", lambda path: len(path) <= LONGEST_PATH),
]
RoutePath = Annotated[
    UrlPath,
    _should(
        "a path outside /-/, which belongs to the edge", lambda path: path.split("/")[1] != "-"
    ),
]
RouteHost = Annotated[
    str,
    _like("[a-z0-9.-]*", "a host name in lower case"),
    _should(
        "a host name: labels of at most 63 letters, digits and -, at most 253 characters",
        lambda host: not host or _is_host_name(host),
    ),
]
Url = Annotated[
    str,
    _should("an address that starts with http:// or https://", _is_web_address),
    _like(
        r"[!#$%&'()*+,./:;=?@A-Z\[\]_a-z~0-9-]{1,1000}",
        "an address of at most 1000 plain characters",
    ),
    _should(
        "an address without a login, which others could read here",
        lambda url: "@" not in urlsplit(url).netloc,
    ),
]
Memory = Annotated[
    str,
    _like("[1-9][0-9]{0,8}[kmg]", 'an amount such as "256m" or "1g"'),
    _should('between "6m", which Docker needs at least, and "16384g"', _is_memory),
]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1, le=1000)]
Seconds = Annotated[float, Field(ge=0.001, le=DAY_S, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, le=DAY_S, allow_inf_nan=False)]
Text = Annotated[str, _should("text without NUL", lambda text: "\0" not in text)]
Line = Annotated[
    str,
    _should("text on one line, without control characters", lambda text: not _CONTROL.search(text)),
]
CiVariable = Annotated[str, _like("[A-Za-z_][A-Za-z0-9_]{0,254}", "the name of a variable")]
Variable = Annotated[
    CiVariable,
    _should("left out: the tool sets it", lambda name: name not in RESERVED),
    _should(
        "left out: it replaces code of every program in the replica; set it in the image",
        lambda name: not name.startswith("LD_"),
    ),
]
Region = Annotated[str, _like("[a-z]{2}(-[a-z]+)+-[0-9]", "an AWS region such as eu-central-1")]
FilePath = Annotated[
    Line,
    _should("the path of a file", bool),
    _should("in the home of a user that this machine has", _has_home),
]


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def given(self) -> dict[str, Any]:
        """Returns the keys that the file has, with their values."""
        return self.model_dump(exclude_unset=True)


class RouteForm(Form):
    path: RoutePath = LEFT_OUT
    host: RouteHost = LEFT_OUT


class HealthForm(Form):
    path: UrlPath = LEFT_OUT
    interval_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = LEFT_OUT
    successes: Count = LEFT_OUT
    min_healthy_s: Pause = LEFT_OUT
    startup_deadline_s: Seconds = LEFT_OUT
    healthy_deadline_s: Seconds = LEFT_OUT
    drain_s: Pause = LEFT_OUT


class RolloutForm(Form):
    max_parallel: Count = LEFT_OUT
    batch_pause_s: Pause = LEFT_OUT
    watch_s: Pause = LEFT_OUT
    max_error_share: Annotated[float, Field(ge=0, le=1)] = LEFT_OUT
    hold_s: Annotated[float, Field(ge=0.001, le=30 * DAY_S, allow_inf_nan=False)] = LEFT_OUT


Number = Annotated[float, Field(allow_inf_nan=False)]
GateAction = Annotated[str, _like("rollback|hold|continue", "one of rollback, hold and continue")]


class ConditionForm(Form):
    name: Name
    query: Annotated[Text, _should("a PromQL query", bool)]
    at_most: Number = LEFT_OUT
    at_least: Number = LEFT_OUT


class GateForm(Form):
    enabled: bool = LEFT_OUT
    min_requests: Annotated[int, Field(ge=1, le=100_000)] = LEFT_OUT
    paths: list[UrlPath] = LEFT_OUT
    alpha: Annotated[float, Field(ge=0.0001, le=0.5)] = LEFT_OUT
    looks: Annotated[int, Field(ge=1, le=100)] = LEFT_OUT
    extend_s: Pause = LEFT_OUT
    baseline_s: Seconds = LEFT_OUT
    slower_s: Pause = LEFT_OUT
    slower_share: Pause = LEFT_OUT
    on_slower: GateAction = LEFT_OUT
    on_unclear: GateAction = LEFT_OUT
    conditions: list[ConditionForm] = LEFT_OUT


class TaskForm(Form):
    command: Annotated[list[Text], Field(min_length=1)]
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
    field: Annotated[Line, _should("the name of a field", bool)] = LEFT_OUT
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
    env: dict[Variable, Line] = LEFT_OUT
    secrets: dict[Variable, SecretForm] = LEFT_OUT


class ServiceForm(OverrideForm):
    name: ServiceName
    image: TargetAddress
    port: Port = LEFT_OUT
    metrics_port: Port = LEFT_OUT
    source: Url = LEFT_OUT
    journeys: Annotated[
        str, _like(r"(\w[\w-]*/)*\w+_test\.py", "a file such as e2e/journeys_test.py")
    ] = LEFT_OUT


class JobImageForm(Form):
    target: TargetAddress
    bases: Annotated[list[Name], Field(min_length=1)]
    commands: Annotated[list[Text], Field(min_length=1)]


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
    subnet: Annotated[
        str,
        _should("an IPv4 network such as 10.213.0.0/16", _is_subnet),
        _should("a private network other than 172.17.0.0/16, which is Docker's own", _is_free),
    ] = LEFT_OUT


class MetricsForm(Form):
    prometheus_url: Url
    ca: FilePath
    cert: FilePath
    key: FilePath
    password_file: FilePath
    user: Annotated[str, _like(r"[\w.@-]{1,64}", "a name of letters, digits and . _ @ -")] = (
        LEFT_OUT
    )
    port: Port = LEFT_OUT
    interval_s: Annotated[int, Field(ge=1, le=3600)] = LEFT_OUT
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
    keep_releases: Annotated[int, Field(ge=1, le=500)] = LEFT_OUT
    jump: JumpText = LEFT_OUT
    registry: RegistryForm
    edge: EdgeForm = LEFT_OUT
    secrets: SecretStoresForm = LEFT_OUT
    metrics: MetricsForm = LEFT_OUT
    hosts: Annotated[list[HostForm], Field(min_length=1)]
    services: dict[ServiceName, OverrideForm] = LEFT_OUT


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
