"""What the configuration files say, as values; never reads a file (that is `adapters.config.loader`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STORES = ("env", "file", "ssm", "secretsmanager")
"""Where secrets are, as `SecretForm` names the stores."""


@dataclass(frozen=True)
class Route:
    """Where the edge sends to a service: a host name ("" is any) and a path prefix."""

    path: str = "/"
    host: str = ""


@dataclass(frozen=True)
class Health:
    """When a replica counts as healthy; the vocabulary of Nomad's update stanza. Times in seconds.

    Docker asks it for `path` every `interval_s`; it has to be well for `min_healthy_s`, the first time within
    `startup_deadline_s` of its start, and all of a release within `healthy_deadline_s`. Then each has to answer
    through the edge, `path` too, `successes` times with no wrong answer of any in between, before a user meets one.
    """

    path: str = "/readyz"
    interval_s: float = 10.0
    successes: int = 2
    min_healthy_s: float = 1.0
    startup_deadline_s: float = 60.0
    healthy_deadline_s: float = 120.0
    drain_s: float = 30.0


@dataclass(frozen=True)
class Rollout:
    """How a release takes over; the vocabulary of Nomad's update stanza. Times in seconds.

    The first host switches alone, then `max_parallel` at a time, and between batches those that have switched are
    watched for `batch_pause_s`. After the last one all are watched for `watch_s`: a larger share of failed answers
    than `max_error_share`, or a replica that ends, takes every host back. `hold_s` is how long a held candidate waits.
    https://developer.hashicorp.com/nomad/docs/job-specification/update
    """

    max_parallel: int = 1
    batch_pause_s: float = 0.0
    watch_s: float = 10.0
    max_error_share: float = 0.02
    hold_s: float = 3600.0


@dataclass(frozen=True)
class Condition:
    """A PromQL query of the service's own that has to answer one number, at most `at_most` and at least `at_least`.

    `$service`, `$release` and `$previous` in it stand for their names.
    """

    name: str
    query: str
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class Gate:
    """When a release is good enough, against the one before it. Times in seconds.

    Where it isn't `enabled` releases are only watched, as `Rollout` says. No verdict passes below `min_requests`
    requests to each release; where users send fewer, GETs of `paths` (below the route) are sent to both, none where
    `paths` is empty. `alpha` is the chance to refuse an equal release, over all of at most `looks` looks, `extend_s`
    apart; the old release's last `baseline_s` count. Slower is what adds `slower_s` and `slower_share` to the old
    median. `on_slower` and `on_unclear` say what follows: "rollback", "hold" (before the switch the candidate is held,
    after it this is a rollback) or "continue".
    """

    enabled: bool = True
    min_requests: int = 300
    paths: tuple[str, ...] = ("/",)
    alpha: float = 0.02
    looks: int = 3
    extend_s: float = 5.0
    baseline_s: float = 300.0
    slower_s: float = 0.02
    slower_share: float = 0.1
    on_slower: str = "rollback"
    on_unclear: str = "rollback"
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Task:
    """A command that runs once a deploy, on one host, in the new image; `timeout_s` in seconds."""

    command: tuple[str, ...]
    timeout_s: float = 300.0


@dataclass(frozen=True)
class Tasks:
    """What runs before any host has switched, and after all have and the release is recorded as live."""

    before_switch: Task | None = None
    after_switch: Task | None = None

    @property
    def longest_s(self) -> float:
        """How many seconds one of them may take at most."""
        return max(
            (task.timeout_s for task in (self.before_switch, self.after_switch) if task),
            default=0.0,
        )


@dataclass(frozen=True)
class SecretRef:
    """Where a secret's value is, never the value.

    `store` is env (a variable's value), file (the file that a variable names), ssm or secretsmanager; `field` is a
    field of a value that is a JSON document, "" for all of it; `into` is how a replica gets it: file or env.
    """

    store: str
    key: str
    field: str = ""
    into: str = "file"


@dataclass(frozen=True)
class Service:
    """One service as its `service.toml` and the environment's override say.

    `journeys` is the file of its browser journeys, from the checkout's root; "" for none.
    """

    name: str
    image: str
    journeys: str = ""
    port: int = 8080
    metrics_port: int = 9100
    replicas: int = 1
    memory: str = "256m"
    source: str = ""
    route: Route = field(default_factory=Route)
    health: Health = field(default_factory=Health)
    rollout: Rollout = field(default_factory=Rollout)
    gate: Gate = field(default_factory=Gate)
    tasks: Tasks = field(default_factory=Tasks)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretRef] = field(default_factory=dict)


@dataclass(frozen=True)
class JobImage:
    """An image that jobs of the pipeline run in, as deploy/images.toml describes it.

    `target` is the address of its `docker_image`, `bases` are the folders of deploy/base that it is built from, and
    `commands` are shell commands that must succeed in it.
    """

    name: str
    target: str
    bases: tuple[str, ...]
    commands: tuple[str, ...]

    @property
    def service(self) -> Service:
        """What the build needs to know of it: a service's name and target."""
        return Service(self.name, self.target)


@dataclass(frozen=True)
class Jump:
    """A machine through which hosts are reached, as ssh's ProxyJump: its key is pinned like a host's."""

    user: str
    address: str
    port: int = 22

    def __str__(self) -> str:
        """Writes it as the environment file does."""
        return f"{self.user}@{self.address}:{self.port}"


@dataclass(frozen=True)
class HostConfig:
    """A host and how it is reached: straight, or through a `jump`.

    `url` is where users reach its edge; `metrics_address` is `host:port` of its Prometheus as the
    environment's Prometheus reaches it.
    """

    name: str
    address: str
    url: str
    metrics_address: str
    port: int = 22
    user: str = "deploy"
    jump: Jump | None = None


@dataclass(frozen=True)
class Registry:
    """An ECR registry.

    `endpoint_url` is the AWS API (None: AWS's own). `push_via` is `host:port` under which this machine
    reaches the registry when its name can't be resolved here (None: its name). `credentials` is an AWS
    shared credentials file (None: botocore's own chain, web identity included).
    """

    account: str
    region: str
    endpoint_url: str | None = None
    push_via: str | None = None
    credentials: str | None = None

    @property
    def name(self) -> str:
        """The registry's host name, as it stands in image references."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"


@dataclass(frozen=True)
class SecretStores:
    """How AWS's stores of secrets are reached; None is what `Registry` says, for `endpoint_url` AWS's own."""

    region: str | None = None
    endpoint_url: str | None = None
    credentials: str | None = None


@dataclass(frozen=True)
class Edge:
    """Ports of the edge on each host: `http_port` public, `preview_port` on the host's loopback.

    `subnet` is the /16 of the network that edge and replicas share on each host.
    """

    http_port: int = 80
    preview_port: int = 8081
    subnet: str = "10.213.0.0/16"


@dataclass(frozen=True)
class Metrics:
    """How metrics leave a host: TLS files and a password file on this machine, and who collects.

    `prometheus_url` is the environment's Prometheus as this machine reaches it; `interval_s` is how often every
    replica is scraped and every host collected. `pushgateway_url` takes what ends before it could be scraped (the
    journeys), `alertmanager_url` is where people look; "" is none.
    """

    prometheus_url: str
    ca: str
    cert: str
    key: str
    password_file: str
    user: str = "prometheus"
    port: int = 9443
    interval_s: int = 15
    pushgateway_url: str = ""
    alertmanager_url: str = ""


@dataclass(frozen=True)
class Environment:
    """One environment file, with paths made absolute."""

    name: str
    hosts: tuple[HostConfig, ...]
    registry: Registry
    known_hosts: str
    ssh_key: str
    metrics: Metrics | None = None
    edge: Edge = field(default_factory=Edge)
    secrets: SecretStores = field(default_factory=SecretStores)
    keep_releases: int = 5
    allow_dirty: bool = False
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts' names, in the file's order."""
        return tuple(host.name for host in self.hosts)
