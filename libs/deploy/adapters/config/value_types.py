"""Types of the values in configuration files.

What they accept, `docker compose config` and `nginx -t` must accept (e2e/config_test.py).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

RESERVED = frozenset(
    {
        "SERVICE",
        "RELEASE",
        "REVISION",
        "CONFIG_HASH",
        "REPLICA",
        "PORT",
        "METRICS_PORT",
        "HUNG_AFTER_S",
        "IMAGE",
    }
)
"""Variables that the tool sets in every replica."""

RESERVED_NAMES = frozenset(
    {"alerting", "edge", "host", "job", "prometheus", "python", "registry", "ship"}
)
"""Names of the tool's own images. A service's image is a repository of the same registry, by the service's name."""

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


@dataclass(frozen=True)
class Rule:
    """A rule for text: what it should be, and whether it is. `pattern` is the same rule for other programs."""

    be: str
    holds: Callable[[str], object]
    pattern: str | None = None

    def __call__(self, value: str) -> str:
        """Returns the text. Raises PydanticCustomError if it breaks the rule."""
        if not self.holds(value):
            raise PydanticCustomError("form", "{be}", {"be": f"should be {self.be}"})
        return value


def should(be: str, holds: Callable[[str], object]) -> AfterValidator:
    """Returns the validator of a rule that a function decides."""
    return AfterValidator(Rule(be, holds))


def like(pattern: str, be: str) -> AfterValidator:
    """Returns the validator of a rule that a regular expression decides."""
    return AfterValidator(Rule(be, re.compile(pattern, re.ASCII).fullmatch, pattern))


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


Name = Annotated[str, like("[a-z][a-z0-9-]{0,30}", "a name of a-z, 0-9 and -, such as app-2")]
ServiceName = Annotated[
    Name,
    like("[a-z](-?[a-z0-9])*", "a name with single - between letters and digits"),
    should("a name of at least 2 characters", lambda name: len(name) >= 2),
    should(
        "another name: the tool has an image of this name", lambda name: name not in RESERVED_NAMES
    ),
    should("another name: py-cicd is the tool's own", lambda name: not name.startswith("py-cicd")),
]
Address = Annotated[str, should("a host name or an address", _is_address)]
HostAndPort = Annotated[str, should("a host and a port, host:port", _is_machine)]
JumpText = Annotated[
    str,
    like(
        r"none|[a-z_][a-z0-9_-]{0,31}@[A-Za-z0-9.:-]+",
        _JUMP := 'a login and a machine, such as "ops@bastion.example.com:22", or "none"',
    ),
    should(_JUMP, _is_jump),
]
TargetAddress = Annotated[
    str, like(r"\w[\w./-]*:[\w.-]+", "a target's address, such as services/app:image")
]
UrlPath = Annotated[
    str,
    like("/[A-Za-z0-9._~/-]*", 'a path that starts with "/"'),
    should('a path without "//", "/./" and "/../"', _is_plain_path),
    should(f"a path of at most {LONGEST_PATH} characters", lambda path: len(path) <= LONGEST_PATH),
]
RoutePath = Annotated[
    UrlPath,
    should("a path outside /-/, which belongs to the edge", lambda path: path.split("/")[1] != "-"),
]
RouteHost = Annotated[
    str,
    like("[a-z0-9.-]*", "a host name in lower case"),
    should(
        "a host name: labels of at most 63 letters, digits and -, at most 253 characters",
        lambda host: not host or _is_host_name(host),
    ),
]
Url = Annotated[
    str,
    should("an address that starts with http:// or https://", _is_web_address),
    like(
        r"[!#$%&'()*+,./:;=?@A-Z\[\]_a-z~0-9-]{1,1000}",
        "an address of at most 1000 plain characters",
    ),
    should(
        "an address without a login, which others could read here",
        lambda url: "@" not in urlsplit(url).netloc,
    ),
]
Memory = Annotated[
    str,
    like("[1-9][0-9]{0,8}[kmg]", 'an amount such as "256m" or "1g"'),
    should('between "6m", which Docker needs at least, and "16384g"', _is_memory),
]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1, le=1000)]
Seconds = Annotated[float, Field(ge=0.001, le=DAY_S, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, le=DAY_S, allow_inf_nan=False)]
Text = Annotated[str, should("text without NUL", lambda text: "\0" not in text)]
Line = Annotated[
    str,
    should("text on one line, without control characters", lambda text: not _CONTROL.search(text)),
]
CiVariable = Annotated[str, like("[A-Za-z_][A-Za-z0-9_]{0,254}", "the name of a variable")]
Variable = Annotated[
    CiVariable,
    should("left out: the tool sets it", lambda name: name not in RESERVED),
    should(
        "left out: it replaces code of every program in the replica; set it in the image",
        lambda name: not name.startswith("LD_"),
    ),
]
Region = Annotated[str, like("[a-z]{2}(-[a-z]+)+-[0-9]", "an AWS region such as eu-central-1")]
FilePath = Annotated[
    Line,
    should("the path of a file", bool),
    should("in the home of a user that this machine has", _has_home),
]
Number = Annotated[float, Field(allow_inf_nan=False)]
GateAction = Annotated[str, like("rollback|hold|continue", "one of rollback, hold and continue")]
Subnet = Annotated[
    str,
    should("an IPv4 network such as 10.213.0.0/16", _is_subnet),
    should("a private network other than 172.17.0.0/16, which is Docker's own", _is_free),
]
