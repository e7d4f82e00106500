"""Identity of this replica: service, release and name, from the environment that the deploy tool sets."""

import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Identity:
    """Body of `/version`. Values that are not set are `unknown`."""

    service: str
    release: str
    revision: str
    config_hash: str
    replica: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], default_service: str) -> "Identity":
        return cls(
            service=environ.get("SERVICE") or default_service,
            release=environ.get("RELEASE") or "unknown",
            revision=environ.get("REVISION") or "unknown",
            config_hash=environ.get("CONFIG_HASH") or "unknown",
            replica=environ.get("REPLICA") or socket.gethostname(),
        )

    def as_dict(self) -> dict[str, str]:
        return asdict(self)
