"""Tells why a registry could not be used, from what the engine's client or Python says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class RegistryFailure(Enum):
    """The kinds of failure that need different steps."""

    NAME = "name"
    CONNECT = "connect"
    TLS = "tls"
    LOGIN = "login"
    DENIED = "denied"
    MISSING = "missing"
    BUSY = "busy"
    SERVER = "server"
    OTHER = "other"


# The first that matches counts: a client names the address, the protocol and the cause in one line. The texts are those
# of Go's net, crypto/tls and net/http, of the distribution registry's error codes
# (https://distribution.github.io/distribution/spec/api/#errors), of ECR, and of Python's socket and ssl.
_SIGNS = {
    RegistryFailure.NAME: (
        *("no such host", "server misbehaving", "name resolution", "name or service not known"),
    ),
    RegistryFailure.TLS: (
        *("x509:", "tls:", "certificate", "gave HTTP response to HTTPS client", r"\[SSL"),
    ),
    RegistryFailure.CONNECT: (
        *("connection refused", "connection reset", "no route to host", "network is unreachable"),
        *("i/o timeout", "timed out", "deadline exceeded", r"client\.timeout", "unexpected eof"),
        *(": EOF$", "broken pipe", "closed connection without response"),
    ),
    RegistryFailure.BUSY: ("toomanyrequests", r"\b429\b", "rate exceeded"),
    RegistryFailure.LOGIN: (
        *("unauthorized", r"\b401\b", "authentication required", "no basic auth credentials"),
        *("incorrect username or password", "authorization token has expired"),
    ),
    RegistryFailure.MISSING: (
        *("manifest unknown", "name unknown", r"\b404\b", "not found"),
        "does not exist(?! or may require)",
    ),
    RegistryFailure.DENIED: ("denied", "forbidden", r"\b403\b"),
    RegistryFailure.SERVER: (r"\b5\d\d\b", "internal server error", "service unavailable"),
}


@dataclass(frozen=True)
class Explanation:
    """What to tell the user: what happened, and the next step."""

    what: str
    hint: str


def failure_of(text: str) -> RegistryFailure:
    """Returns the kind of failure that an error's text describes."""
    found = (
        failure
        for failure, signs in _SIGNS.items()
        if re.search("|".join(signs), text, re.IGNORECASE | re.MULTILINE)
    )
    return next(found, RegistryFailure.OTHER)


def explain(failure: RegistryFailure, registry: str) -> Explanation:
    """Returns the explanation of a failure of the registry with this name."""
    host = registry.rpartition(":")[0] or registry
    match failure:
        case RegistryFailure.NAME:
            return Explanation(
                f"the name {host} can't be resolved", f"check its DNS: `getent hosts {host}`"
            )
        case RegistryFailure.CONNECT:
            return Explanation(
                f"nothing answers at {registry}", "check the network and the firewall in between"
            )
        case RegistryFailure.TLS:
            return Explanation(
                f"the TLS certificate of {registry} is not accepted",
                f"trust its CA: /etc/docker/certs.d/{registry}/ca.crt; or is something else listening there?",
            )
        case RegistryFailure.LOGIN:
            return Explanation(
                f"{registry} refused the login (401)",
                "check the credentials, and whether they have expired",
            )
        case RegistryFailure.DENIED:
            return Explanation(
                f"{registry} accepted the login and denies access (403)",
                "check the policies of the role and of the repository",
            )
        case RegistryFailure.MISSING:
            return Explanation(
                f"{registry} doesn't have it (404)",
                "check whether a lifecycle rule of the registry has removed it",
            )
        case RegistryFailure.BUSY:
            return Explanation(
                f"{registry} limits requests (429)", "wait a minute, then run this again"
            )
        case RegistryFailure.SERVER:
            return Explanation(
                f"{registry} has an error of its own (5xx)",
                "wait until it works, then run this again",
            )
        case RegistryFailure.OTHER:
            return Explanation(
                f"{registry} can't be used", "read the registry's or engine's words above"
            )
