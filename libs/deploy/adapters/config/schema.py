"""The schema of service files, environment files and deploy/images.toml, as pydantic models.

The text below a key is its entry in docs/service-toml.md and docs/environment-files.md (`make docs`): what it is, then
"Example:" and a value in TOML. "Default:" is a default that depends on other values.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from deploy.adapters.config.value_types import (
    DAY_S,
    Address,
    CiVariable,
    Count,
    FilePath,
    GateAction,
    HostAndPort,
    JumpText,
    Line,
    Memory,
    Name,
    Number,
    Pause,
    Port,
    Region,
    RouteHost,
    RoutePath,
    Seconds,
    ServiceName,
    Subnet,
    TargetAddress,
    Text,
    Url,
    UrlPath,
    Variable,
    like,
    should,
)
from deploy.core.state.release import MOST_REPLICAS

LEFT_OUT: Any = None
"""The default of optional keys. Forms are dumped without them, so the real defaults are in `core.config` only."""


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def given(self) -> dict[str, Any]:
        """Returns the keys that the file has, with their values."""
        return self.model_dump(exclude_unset=True)


class RouteForm(Form):
    """Which requests the edge sends to the service. No two services of an environment have the same host and path."""

    path: RoutePath = LEFT_OUT
    """Requests whose path begins with this. `/-/` belongs to the edge. Example: "/shop/" """
    host: RouteHost = LEFT_OUT
    """Requests for this host name, in lower case; empty for any other. Example: "shop.example.com" """


class HealthForm(Form):
    """When a replica counts as healthy, and how long it may finish its requests."""

    path: UrlPath = LEFT_OUT
    """What a deploy asks each replica for; it must answer with 200 when it is ready. Example: "/readyz" """
    interval_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = LEFT_OUT
    """How often Docker checks whether a replica lives. Example: 10"""
    successes: Count = LEFT_OUT
    """Answers in a row that a replica must give through the edge before users reach it. Example: 2"""
    min_healthy_s: Pause = LEFT_OUT
    """How long a new replica must stay healthy before users reach it. Example: 5"""
    startup_deadline_s: Seconds = LEFT_OUT
    """How long a replica may take from its start until it is healthy. Example: 60"""
    healthy_deadline_s: Seconds = LEFT_OUT
    """How long all replicas of a release together may take until they are healthy. Example: 120"""
    # Below nginx's worker_shutdown_timeout (deploy/nginx/nginx.conf), which would end requests before it.
    drain_s: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = LEFT_OUT
    """How long the connections of a release may stay open after it was replaced. Example: 30"""
    hung_after_s: Annotated[float, Field(ge=1, le=86400, allow_inf_nan=False)] = LEFT_OUT
    """After how long without any progress a replica whose threads are all taken counts as hung. Example: 60"""


class RolloutForm(Form):
    """How a release takes over: the first host alone, then in batches. The names are those of Nomad's update stanza."""

    max_parallel: Count = LEFT_OUT
    """Hosts that switch at the same time, after the first one. Example: 2"""
    batch_pause_s: Pause = LEFT_OUT
    """How long the switched hosts are watched before the next batch. Example: 30"""
    watch_s: Pause = LEFT_OUT
    """How long all hosts are watched after the last batch. Example: 60"""
    max_error_share: Annotated[float, Field(ge=0, le=1)] = LEFT_OUT
    """The share of failed requests during a watch above which every host is reverted. Example: 0.02"""
    hold_s: Annotated[float, Field(ge=0.001, le=30 * DAY_S, allow_inf_nan=False)] = LEFT_OUT
    """How long a candidate of `ship deploy --hold` waits for its promotion. Example: 3600"""


class ConditionForm(Form):
    """A PromQL query that must return one number within bounds before the switch (docs/gate.md)."""

    name: Name
    """What the report calls it. Example: "queue" """
    query: Annotated[Text, should("a PromQL query", bool)]
    """`$service`, `$release` and `$previous` stand for their names. Example: 'max(queue_length{release="$release"})'"""
    at_most: Number = LEFT_OUT
    """The highest number that passes. One of at_most and at_least is needed. Example: 20"""
    at_least: Number = LEFT_OUT
    """The lowest number that passes. Example: 1"""


class GateForm(Form):
    """The release gate compares a new release with the previous one, and refuses it if it is worse (docs/gate.md)."""

    enabled: bool = LEFT_OUT
    """Without the gate releases are only watched. Example: false"""
    min_requests: Annotated[int, Field(ge=1, le=100_000)] = LEFT_OUT
    """Requests to each release that a verdict needs. Example: 300"""
    paths: list[UrlPath] = LEFT_OUT
    """What synthetic requests ask for, below the route, if users send too few; none if empty. Example: ["/"]"""
    alpha: Annotated[float, Field(ge=0.0001, le=0.5)] = LEFT_OUT
    """The probability of refusing an equal release, over all looks. Example: 0.02"""
    looks: Annotated[int, Field(ge=1, le=100)] = LEFT_OUT
    """How often it looks again while the result is unclear. Example: 3"""
    extend_s: Pause = LEFT_OUT
    """The time between two looks. Example: 5"""
    baseline_s: Seconds = LEFT_OUT
    """How much of the previous release's time counts, up to now. Example: 300"""
    slower_s: Pause = LEFT_OUT
    """A release is slower if its median is higher by this, and by slower_share. Example: 0.02"""
    slower_share: Pause = LEFT_OUT
    """The same as a share of the previous median. Example: 0.1"""
    on_slower: GateAction = LEFT_OUT
    """What happens to a slower release: "rollback", "hold" or "continue". Example: "hold" """
    on_unclear: GateAction = LEFT_OUT
    """What happens if the result stays unclear. Example: "continue" """
    conditions: list[ConditionForm] = LEFT_OUT
    """Further conditions."""


class TaskForm(Form):
    """A command that each deploy runs once, on one host, in the new image with the service's variables and secrets."""

    command: Annotated[list[Text], Field(min_length=1)]
    """The program and its arguments; no shell runs them. Example: ["python3", "-m", "shop.migrate"]"""
    timeout_s: Seconds = LEFT_OUT
    """How long it may take. Example: 300"""


class TasksForm(Form):
    """What a deploy runs once. A migration must leave a schema that the live release can work with."""

    before_switch: TaskForm = LEFT_OUT
    """Before the first host switches. If it fails, nothing was changed."""
    after_switch: TaskForm = LEFT_OUT
    """After the release is recorded as live on all hosts. If it fails, the release stays live."""


class SecretForm(Form):
    """Where the value of the secret NAME is. Exactly one store is named (docs/secrets.md)."""

    env: CiVariable = LEFT_OUT
    """A variable of the process that deploys, such as a CI variable. Example: "SHOP_DB_PASSWORD" """
    file: CiVariable = LEFT_OUT
    """A variable that names a file, such as a CI variable of type file. Example: "SHOP_DB_PASSWORD_FILE" """
    ssm: Annotated[
        str, like(r"[\w./-]+|arn:[\w./:-]+", "the name or ARN of a parameter, such as /app/db")
    ] = LEFT_OUT
    """A parameter of AWS's Parameter Store. Example: "/shop/db-password" """
    secretsmanager: Annotated[
        str, like(r"[\w/+=.@:!-]+", "the name or ARN of a secret, such as app/db")
    ] = LEFT_OUT
    """A secret of AWS's Secrets Manager. Example: "shop/db" """
    field: Annotated[Line, should("the name of a field", bool)] = LEFT_OUT
    """A field of the value, if that is a JSON document. Example: "password" """
    into: Annotated[str, like("file|env", '"file" or "env"')] = LEFT_OUT
    """How replicas get it: a file /run/secrets/NAME, or a variable. Example: "env" """


class OverrideForm(Form):
    """The settings of a service that an environment can override."""

    replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS)] = LEFT_OUT
    """Replicas on each host. Example: 5"""
    memory: Memory = LEFT_OUT
    """The memory limit of a replica, with k, m or g. Example: "256m" """
    route: RouteForm = LEFT_OUT
    """Which requests the edge sends to the service."""
    health: HealthForm = LEFT_OUT
    """When a replica counts as healthy."""
    rollout: RolloutForm = LEFT_OUT
    """How a release takes over."""
    gate: GateForm = LEFT_OUT
    """How a release is compared with the previous one."""
    tasks: TasksForm = LEFT_OUT
    """What a deploy runs once."""
    env: dict[Variable, Line] = LEFT_OUT
    """Variables of the replicas, except those that the tool sets (docs/architecture.md), `IMAGE` and `LD_*`. \
Secrets belong to [secrets]. Example: {LOG_LEVEL = "info"}"""
    secrets: dict[Variable, SecretForm] = LEFT_OUT
    """Where the values of secrets are. Example: {DB_PASSWORD = {ssm = "/shop/db-password"}}"""


class ServiceForm(OverrideForm):
    """A service. The file stands in its folder, services/NAME."""

    name: ServiceName
    """The name of its folder. The names of the tool's own images, such as edge, are taken. Example: "app" """
    image: TargetAddress
    """The target of its image in Pants. Example: "services/app:image" """
    port: Port = LEFT_OUT
    """Where the application listens in its container. Example: 8080"""
    metrics_port: Port = LEFT_OUT
    """Where it serves /metrics, which the edge never publishes. Example: 9100"""
    source: Url = LEFT_OUT
    """Where its source is, for people. Example: "https://gitlab.example.com/shop" """
    public_env: list[Variable] = LEFT_OUT
    """Variables of [env] whose values `ship report` may show; of the others only names. Example: ["LOG_LEVEL"]"""
    journeys: Annotated[
        str, like(r"(\w[\w-]*/)*\w+_test\.py", "a file such as e2e/journeys_test.py")
    ] = LEFT_OUT
    """Its browser journeys, a file of the checkout. Example: "e2e/journeys_test.py" """


class JobImageForm(Form):
    target: TargetAddress
    bases: Annotated[list[Name], Field(min_length=1)]
    commands: Annotated[list[Text], Field(min_length=1)]


class JobImagesForm(Form):
    images: dict[Name, JobImageForm]


class RegistryForm(Form):
    """The registry of the images, ECR. Without `credentials` those of AWS's default sources are used."""

    account: Annotated[str, like("[0-9]{12}", "an AWS account of 12 digits, in quotes")]
    """The AWS account. Example: "123456789012" """
    region: Region
    """Its region. Example: "eu-central-1" """
    endpoint_url: Url = LEFT_OUT
    """Another address of ECR's API than AWS's. Example: "http://127.0.0.1:5001" """
    push_via: HostAndPort = LEFT_OUT
    """Where this machine reaches the registry, if not by its name. Example: "127.0.0.1:5000" """
    credentials: FilePath = LEFT_OUT
    """An AWS shared credentials file. Example: "aws_credentials" """


class SecretStoresForm(Form):
    """How to reach AWS's secret stores, if not as the registry."""

    region: Region = LEFT_OUT
    """The region of the stores. Default: that of the registry. Example: "eu-west-1" """
    endpoint_url: Url = LEFT_OUT
    """Another address of the stores than AWS's. Example: "http://127.0.0.1:5001" """
    credentials: FilePath = LEFT_OUT
    """An AWS shared credentials file. Default: that of the registry. Example: "aws_credentials" """


class EdgeForm(Form):
    """The edge (nginx) of each host, and the network that it shares with the replicas."""

    http_port: Port = LEFT_OUT
    """Where users reach the edge. Example: 80"""
    preview_port: Port = LEFT_OUT
    """Where candidates are verified, on the host's loopback only. Example: 8081"""
    subnet: Subnet = LEFT_OUT
    """A private /16 that nothing else uses on the hosts. Example: "10.213.0.0/16" """


class MetricsForm(Form):
    """How metrics are collected. Without this table hosts run no Prometheus and no exporters."""

    prometheus_url: Url
    """Where this machine reaches the environment's Prometheus. Example: "https://prometheus.example.com" """
    ca: FilePath
    """The certificate authority of the hosts' Prometheus. Example: "production/ca.crt" """
    cert: FilePath
    """Their certificate. Example: "$SHIP_METRICS_CERT" """
    key: FilePath
    """The key of that certificate. Example: "$SHIP_METRICS_KEY" """
    password_file: FilePath
    """The file with the password that they ask for. Example: "$SHIP_METRICS_PASSWORD" """
    user: Annotated[str, like(r"[\w.@-]{1,64}", "a name of letters, digits and . _ @ -")] = LEFT_OUT
    """The user of that password. Example: "prometheus" """
    port: Port = LEFT_OUT
    """Where a host's Prometheus listens. Example: 9443"""
    interval_s: Annotated[int, Field(ge=1, le=3600)] = LEFT_OUT
    """How often replicas and hosts are scraped. Example: 15"""
    pushgateway_url: Url = LEFT_OUT
    """Where browser journeys send their results. Example: "https://push.example.com" """
    alertmanager_url: Url = LEFT_OUT
    """Where people find alerts. Example: "https://alerts.example.com" """


class HostForm(Form):
    """A host: a Debian or Ubuntu server that `ship host bootstrap` has prepared."""

    name: Name
    """What commands and metrics call it. Example: "web-1" """
    address: Address
    """Where SSH reaches it: an address or a host name. Example: "192.0.2.11" """
    port: Port = LEFT_OUT
    """SSH's port. Example: 22"""
    user: Annotated[str, like("[a-z_][a-z0-9_-]{0,31}", "a user's name")] = LEFT_OUT
    """The user that deploys. Example: "deploy" """
    url: Url = LEFT_OUT
    """Where users, or a load balancer, reach its edge. Default: `http://ADDRESS`, with the edge's port. \
Example: "http://192.0.2.11" """
    metrics_address: HostAndPort = LEFT_OUT
    """Where the environment's Prometheus reaches the host's. Default: `ADDRESS:PORT`, with the port of [metrics]. \
Example: "192.0.2.11:9443" """
    jump: JumpText = LEFT_OUT
    """A jump host, as in ssh's ProxyJump, or "none". Default: that of the environment. \
Example: "ops@bastion.example.com:22" """


class EnvironmentForm(Form):
    """An environment. Paths are relative to the file; `~` is your home and `$NAME` a variable."""

    name: Name
    """The name of the file. Example: "production" """
    known_hosts: FilePath
    """The pinned keys of the hosts, as in ssh's known_hosts; any other key is refused. \
Example: "../known_hosts/production" """
    ssh_key: FilePath
    """The private key to log in with. Example: "$SHIP_SSH_KEY" """
    allow_dirty: bool = LEFT_OUT
    """Whether a checkout with uncommitted changes may be deployed. Example: true"""
    keep_releases: Annotated[int, Field(ge=1, le=500)] = LEFT_OUT
    """Releases that hosts keep, with the live one: how far back `ship rollback` can go. Example: 5"""
    jump: JumpText = LEFT_OUT
    """A jump host for all hosts that don't name another one, as in ssh's ProxyJump. \
Example: "ops@bastion.example.com:22" """
    registry: RegistryForm
    """The registry of the images."""
    edge: EdgeForm = LEFT_OUT
    """The edge of each host."""
    secrets: SecretStoresForm = LEFT_OUT
    """How to reach AWS's secret stores."""
    metrics: MetricsForm = LEFT_OUT
    """How metrics are collected."""
    hosts: Annotated[list[HostForm], Field(min_length=1)]
    """The hosts, in the order in which they switch."""
    services: dict[ServiceName, OverrideForm] = LEFT_OUT
    """Overrides of a service's own file, key by key, by the service's name. Example: {shop = {replicas = 5}}"""
