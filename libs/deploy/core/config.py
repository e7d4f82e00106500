"""The configuration of services and environments as values. `adapters.config.loader` reads the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STORES = ("env", "file", "ssm", "secretsmanager")
"""The stores of secrets, by the keys of a `[secrets]` entry."""


@dataclass(frozen=True)
class Route:
    """The requests that the edge sends to a service: by host name ("" is any) and path prefix."""

    path: str = "/"
    host: str = ""


@dataclass(frozen=True)
class Health:
    """When a replica counts as healthy, in the vocabulary of Nomad's update stanza. Times in seconds.

    A deploy asks each replica for `path`. A replica must pass within `startup_deadline_s` of its start and stay
    healthy for `min_healthy_s`; all replicas of a release must be healthy within `healthy_deadline_s`. Then each must
    answer `path` through the edge `successes` times in a row, before it gets requests of users. When
    a release is replaced, its open connections have `drain_s` to end; its replicas stop then (docs/adr/0034).

    Docker checks every `interval_s` whether a replica lives. One that is merely busy does; it is hung, and gets
    restarted, when all its threads are taken and for `hung_after_s` no request started, sent a chunk or ended.
    """

    path: str = "/readyz"
    interval_s: float = 10.0
    successes: int = 2
    min_healthy_s: float = 1.0
    startup_deadline_s: float = 60.0
    healthy_deadline_s: float = 120.0
    drain_s: float = 30.0
    hung_after_s: float = 60.0


@dataclass(frozen=True)
class Rollout:
    """How a release takes over, in the vocabulary of Nomad's update stanza. Times in seconds.

    The first host switches alone, then `max_parallel` hosts at a time. Between batches the switched hosts are watched
    for `batch_pause_s`, after the last batch all hosts for `watch_s`. A share of failed requests above
    `max_error_share`, or a replica that exits, reverts every host. A held candidate expires after `hold_s`.
    https://developer.hashicorp.com/nomad/docs/job-specification/update
    """

    max_parallel: int = 1
    batch_pause_s: float = 0.0
    watch_s: float = 10.0
    max_error_share: float = 0.02
    hold_s: float = 3600.0


@dataclass(frozen=True)
class Condition:
    """A PromQL query of the service that must return one number within `at_least` and `at_most`.

    `$service`, `$release` and `$previous` in the query are replaced by their names.
    """

    name: str
    query: str
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class Gate:
    """The release gate: how a new release is compared with the previous one. Times in seconds.

    If not `enabled`, releases are only watched (see `Rollout`). A verdict needs `min_requests` requests to each
    release; if users send fewer, synthetic GETs of `paths` (below the route) go to both, and none if `paths` is empty.
    `alpha` is the probability of refusing an equal release, over all attempts: at most `looks` of them, `extend_s`
    apart. The last `baseline_s` of the previous release count. A release is slower if its median exceeds the previous
    one's by `slower_s` and by `slower_share`. `on_slower` and `on_unclear` decide what follows: "rollback", "hold" (the
    candidate is held before the switch; after it the release is rolled back) or "continue".
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
    """A command that each deploy runs once, on one host, in the new image."""

    command: tuple[str, ...]
    timeout_s: float = 300.0


@dataclass(frozen=True)
class Tasks:
    """The tasks of a deploy: before the first host switches, and after the release is recorded as live on all hosts."""

    before_switch: Task | None = None
    after_switch: Task | None = None

    @property
    def longest_s(self) -> float:
        """The longest time limit of the tasks, in seconds."""
        return max(
            (task.timeout_s for task in (self.before_switch, self.after_switch) if task),
            default=0.0,
        )


@dataclass(frozen=True)
class SecretRef:
    """Where a secret's value is stored.

    `store` is env (a variable's value), file (the file that a variable names), ssm or secretsmanager. `field` selects a
    field of a JSON document, "" the whole value. `into` is how a replica receives the value: file or env.
    """

    store: str
    key: str
    field: str = ""
    into: str = "file"


@dataclass(frozen=True)
class Service:
    """One service: its `service.toml`, merged with the environment's override.

    `journeys` is the path of its browser journeys from the checkout's root, "" for none. `public_env` are the names in
    `env` whose values reports may show.
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
    public_env: tuple[str, ...] = ()
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
        """The image in the form that the build takes: a service with its name and target."""
        return Service(self.name, self.target)


@dataclass(frozen=True)
class Jump:
    """A jump host, as in ssh's ProxyJump. Its key is pinned like a host's."""

    user: str
    address: str
    port: int = 22

    def __str__(self) -> str:
        """Returns the notation of the environment file."""
        return f"{self.user}@{self.address}:{self.port}"


@dataclass(frozen=True)
class HostConfig:
    """A host and how to reach it: directly, or through a `jump`.

    `url` is where users reach its edge. `metrics_address` is the `host:port` at which the environment's Prometheus
    reaches the host's.
    """

    name: str
    address: str
    url: str
    metrics_address: str
    port: int = 22
    user: str = "deploy"
    jump: Jump | None = None


@dataclass(frozen=True)
class RegistryConfig:
    """An ECR registry and how to reach it.

    `endpoint_url` is the AWS API (None: AWS's own). `push_via` is the `host:port` at which this machine reaches the
    registry if its name doesn't resolve here (None: its name). `credentials` is an AWS shared credentials file (None:
    botocore's default chain, web identity included).
    """

    account: str
    region: str
    endpoint_url: str | None = None
    push_via: str | None = None
    credentials: str | None = None

    @property
    def name(self) -> str:
        """The registry's host name, as in image references."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"


@dataclass(frozen=True)
class SecretStoreConfig:
    """How to reach AWS's secret stores. None: as in `RegistryConfig`; for `endpoint_url`, AWS's own."""

    region: str | None = None
    endpoint_url: str | None = None
    credentials: str | None = None


@dataclass(frozen=True)
class Edge:
    """The edge's ports on each host: `http_port` is public, `preview_port` listens on the host's loopback.

    `subnet` is the /16 of the network that edge and replicas share on each host.
    """

    http_port: int = 80
    preview_port: int = 8081
    subnet: str = "10.213.0.0/16"


@dataclass(frozen=True)
class Metrics:
    """How metrics are collected from hosts. `ca`, `cert`, `key` and `password_file` are files on this machine.

    `prometheus_url` is where this machine reaches the environment's Prometheus. `interval_s` is the scrape interval of
    replicas and hosts. `pushgateway_url` receives results of short jobs (the browser journeys);
    `alertmanager_url` is shown to people.
    """

    prometheus_url: str
    ca: str
    cert: str
    key: str
    password_file: str
    user: str = "prometheus"
    port: int = 9443
    interval_s: int = 15
    pushgateway_url: str | None = None
    alertmanager_url: str | None = None


@dataclass(frozen=True)
class Environment:
    """One environment file. Its paths are absolute."""

    name: str
    hosts: tuple[HostConfig, ...]
    registry: RegistryConfig
    known_hosts: str
    ssh_key: str
    metrics: Metrics | None = None
    edge: Edge = field(default_factory=Edge)
    secrets: SecretStoreConfig = field(default_factory=SecretStoreConfig)
    keep_releases: int = 5
    allow_dirty: bool = False
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts' names in the file's order."""
        return tuple(host.name for host in self.hosts)
