"""Tests of loading service and environment files: the values, and the problems of wrong files."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.adapters import files, invoker
from deploy.adapters.config import checks, loader, schema
from deploy.adapters.config import problems as problem_texts
from deploy.core.config import (
    Edge,
    Environment,
    Health,
    Jump,
    Metrics,
    RegistryConfig,
    Rollout,
    Route,
    Service,
    Task,
    Tasks,
)
from deploy.errors import ConfigError

SERVICE = """
name = "app"
image = "services/app:image"
replicas = 5
public_env = ["COLOR"]

[route]
path = "/shop"

[health]
interval_s = 10
drain_s = 2.5

[env]
LOG_LEVEL = "info"
"""

ENVIRONMENT = """
name = "sandbox"
known_hosts = "known_hosts"
ssh_key = "~/keys/deploy_key"
allow_dirty = true

[registry]
account = "123456789012"
region = "us-east-1"
endpoint_url = "http://127.0.0.1:5001"
push_via = "127.0.0.1:5000"
credentials = "aws_credentials"

[metrics]
prometheus_url = "http://127.0.0.1:19090"
ca = "ca.crt"
cert = "metrics.crt"
key = "metrics.key"
password_file = "../metrics_password"

[[hosts]]
name = "host-1"
address = "127.0.0.1"
port = 2222
url = "http://127.0.0.1:8080/"
metrics_address = "host-1:9443"

[[hosts]]
name = "host-2"
address = "192.0.2.2"

[services.app]
replicas = 2
health = { drain_s = 1 }
route = { host = "shop.example.com" }

[services.app.env]
LOG_LEVEL = "debug"
COLOUR = "blue"
"""

type WriteService = Callable[..., Path]
type Load = Callable[[str], Environment]


@pytest.fixture
def write(tmp_path: Path) -> WriteService:
    """Writes services/FOLDER/service.toml and returns the root."""

    def put(folder: str, text: str) -> Path:
        (tmp_path / "services" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "services" / folder / "service.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return put


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes an environment file and loads it."""

    def put(text: str) -> Environment:
        (tmp_path / "environment.toml").write_text(text, encoding="utf-8")
        return loader.load_environment(tmp_path / "environment.toml")

    return put


def problems(load: Callable[[], object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load()
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return list(caught.value.problems)


class TestServices:
    def test_service_file_is_loaded(self, write: WriteService) -> None:
        assert loader.load_services(write("app", SERVICE)) == {
            "app": Service(
                name="app",
                image="services/app:image",
                replicas=5,
                route=Route(path="/shop"),
                health=Health(interval_s=10.0, drain_s=2.5),
                env={"LOG_LEVEL": "info"},
                public_env=("COLOR",),
            )
        }

    def test_missing_keys_take_the_defaults(self, write: WriteService) -> None:
        root = write("app", 'name = "app"\nimage = "services/app:image"')
        assert loader.load_services(root)["app"] == Service("app", "services/app:image")

    def test_checkout_without_services_loads_none(self, tmp_path: Path) -> None:
        assert loader.load_services(tmp_path) == {}

    def test_problems_of_all_files_are_reported_together(self, write: WriteService) -> None:
        write("two", 'name = "other"\nimage = "x"\nreplcas = 3\n')
        write("three", "name = \n")
        root = write("app", SERVICE.replace("interval_s = 10", 'interval_s = "10"\nsucesses = 1'))
        assert problems(lambda: loader.load_services(root)) == [
            "services/app/service.toml: health.interval_s: should be a number",
            (
                "services/app/service.toml: health.sucesses: unknown key; did you mean successes? "
                "(docs/service-toml.md#health)"
            ),
            "services/three/service.toml: is not TOML: Invalid value (at line 1, column 8)",
            "services/two/service.toml: image: should be a target's address, such as services/app:image",
            (
                "services/two/service.toml: replcas: unknown key; did you mean replicas? "
                "(docs/service-toml.md#top-level)"
            ),
            'services/two/service.toml: name: should be "two", like its folder',
        ]

    def test_two_services_with_the_same_route_are_refused(self, write: WriteService) -> None:
        write("app", SERVICE)
        root = write("two", SERVICE.replace('"app"', '"two"'))
        assert problems(lambda: loader.load_services(root)) == [
            "services/two/service.toml: route: services/app/service.toml has the same path and host"
        ]

    def test_same_path_on_another_host_name_is_accepted(self, write: WriteService) -> None:
        write("app", SERVICE)
        two = SERVICE.replace('"app"', '"two"').replace("[route]", '[route]\nhost = "two.test"')
        assert set(loader.load_services(write("two", two))) == {"app", "two"}

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("replicas = 5", "replicas = 0", "replicas: should be at least 1"),
            ("replicas = 5", "replicas = 64", "replicas: should be at most 63"),
            ("replicas = 5", "replicas = 5.0", "replicas: should be an integer"),
            ("replicas = 5", "replicas = true", "replicas: should be an integer"),
            ("replicas = 5", "port = 0", "port: should be at least 1"),
            ("replicas = 5", "port = 65536", "port: should be at most 65535"),
            ("replicas = 5", "port = 9100", "metrics_port: port has the same port, 9100"),
            (
                "replicas = 5",
                'memory = "256"',
                'memory: should be an amount such as "256m" or "1g"',
            ),
            (
                "replicas = 5",
                'source = "example"',
                "source: should be an address that starts with http:// or https://",
            ),
            ('"/shop"', '"shop"', 'route.path: should be a path that starts with "/"'),
            ('"/shop"', '"/; return 200"', 'route.path: should be a path that starts with "/"'),
            ("interval_s = 10", "interval_s = 0", "health.interval_s: should be at least 0.1"),
            (
                "interval_s = 10",
                "interval_s = inf",
                "health.interval_s: should be a finite number",
            ),
            ("drain_s = 2.5", "drain_s = -1", "health.drain_s: should be at least 0"),
            ("drain_s = 2.5", "drain_s = 601", "health.drain_s: should be at most 600"),
            (
                "LOG_LEVEL",
                "RELEASE",
                "env.RELEASE: should be left out: the tool sets it",
            ),
            ("LOG_LEVEL", '"a b"', "env.a b: should be the name of a variable"),
            ('"info"', "1", "env.LOG_LEVEL: should be text in quotes"),
            (
                '"info"',
                '"a\\nb"',
                "env.LOG_LEVEL: should be text on one line, without control characters",
            ),
            (
                "[health]",
                "[healht]",
                "healht: unknown key; did you mean health? (docs/service-toml.md#top-level)",
            ),
            ("[health]", "[[health]]", "health: should be a table"),
        ],
    )
    def test_wrong_value_is_reported_with_its_path(
        self, write: WriteService, old: str, new: str, problem: str
    ) -> None:
        root = write("app", SERVICE.replace(old, new))
        found = problems(lambda: loader.load_services(root))
        assert found == [f"services/app/service.toml: {problem}"]

    def test_unknown_key_without_a_similar_one_lists_the_known_keys(
        self, write: WriteService
    ) -> None:
        root = write("app", SERVICE.replace("[route]", "[route]\nzzz = 1"))
        assert problems(lambda: loader.load_services(root)) == [
            (
                "services/app/service.toml: route.zzz: unknown key, and there is no such feature; "
                "known are host, path (docs/service-toml.md#route)"
            )
        ]

    @pytest.mark.parametrize("name", ["App", "1app", "a_b", "a" * 32, ""])
    def test_name_that_docker_dns_or_paths_cannot_take_is_refused(
        self, write: WriteService, name: str
    ) -> None:
        root = write("app", SERVICE.replace('"app"', f'"{name}"'))
        assert (
            "services/app/service.toml: name: should be a name of a-z, 0-9 and -, such as app-2"
            in (problems(lambda: loader.load_services(root)))
        )

    def test_file_that_is_not_text_is_reported(self, write: WriteService) -> None:
        root = write("app", SERVICE)
        (root / "services/app/service.toml").write_bytes(b"name = '\xff'")
        assert problems(lambda: loader.load_services(root)) == [
            "services/app/service.toml: is not UTF-8 text (at byte 8)"
        ]


class TestEnvironment:
    def test_environment_file_is_loaded_with_absolute_paths(
        self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", "/home/someone")
        environment = load(ENVIRONMENT)
        assert environment.known_hosts == str(tmp_path / "known_hosts")
        assert environment.ssh_key == "/home/someone/keys/deploy_key"
        assert environment.allow_dirty
        assert environment.edge == Edge()
        assert environment.registry == RegistryConfig(
            "123456789012",
            "us-east-1",
            "http://127.0.0.1:5001",
            "127.0.0.1:5000",
            str(tmp_path / "aws_credentials"),
        )
        assert environment.metrics == Metrics(
            prometheus_url="http://127.0.0.1:19090",
            ca=str(tmp_path / "ca.crt"),
            cert=str(tmp_path / "metrics.crt"),
            key=str(tmp_path / "metrics.key"),
            password_file=str(tmp_path.parent / "metrics_password"),
        )
        first, second = environment.hosts
        assert (first.port, first.user, first.url) == (2222, "deploy", "http://127.0.0.1:8080")
        assert (second.port, second.url) == (22, "http://192.0.2.2")
        assert second.metrics_address == "192.0.2.2:9443"

    def test_relative_path_of_the_file_gives_absolute_paths(
        self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(ENVIRONMENT)
        monkeypatch.chdir(tmp_path)
        environment = loader.load_environment(Path("environment.toml"))
        assert environment.known_hosts == str(tmp_path / "known_hosts")

    def test_path_can_be_a_variable(self, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        text = ENVIRONMENT.replace('"~/keys/deploy_key"', '"$SHIP_SSH_KEY"').replace(
            '"metrics.key"', '"${SHIP_BUILDS}/metrics.key"'
        )
        monkeypatch.delenv("SHIP_SSH_KEY", raising=False)
        monkeypatch.setenv("SHIP_BUILDS", "/builds")
        environment = load(text)
        assert environment.metrics is not None
        assert loader.path_of(environment.metrics.key) == Path("/builds/metrics.key")
        with pytest.raises(ConfigError, match=r"by \$SHIP_SSH_KEY, and SHIP_SSH_KEY is not set"):
            loader.path_of(environment.ssh_key)
        monkeypatch.setenv("SHIP_SSH_KEY", "/builds/tmp/SHIP_SSH_KEY")
        assert loader.path_of(load(text).ssh_key) == Path("/builds/tmp/SHIP_SSH_KEY")

    def test_default_addresses_follow_the_ports_of_edge_and_metrics(self, load: Load) -> None:
        text = ENVIRONMENT.replace("[metrics]", "[edge]\nhttp_port = 8000\n[metrics]\nport = 9000")
        second = load(text).hosts[1]
        assert (second.url, second.metrics_address) == ("http://192.0.2.2:8000", "192.0.2.2:9000")

    def test_jump_applies_to_all_hosts_unless_a_host_overrides_it(self, load: Load) -> None:
        text = f'jump = "ops@bastion.example.com"\n{ENVIRONMENT}'
        first, second = load(text).hosts
        assert first.jump == second.jump == Jump("ops", "bastion.example.com", 22)
        straight = text.replace('"192.0.2.2"', '"192.0.2.2"\njump = "none"')
        first, second = load(straight).hosts
        assert (first.jump is None, second.jump) == (False, None)
        own = text.replace("port = 2222", 'port = 2222\njump = "me@10.0.0.1:2022"')
        assert str(load(own).hosts[0].jump) == "me@10.0.0.1:2022"

    def test_metrics_are_optional(self, load: Load) -> None:
        without = (
            ENVIRONMENT.split("[metrics]", maxsplit=1)[0]
            + ENVIRONMENT[ENVIRONMENT.index("[[hosts]]") :]
        )
        assert load(without).metrics is None

    def test_override_is_merged_into_the_service(self, load: Load) -> None:
        service = Service(
            "app", "services/app:image", replicas=5, env={"LOG_LEVEL": "info", "ZONE": "a"}
        )
        merged = loader.for_environment(service, load(ENVIRONMENT))
        assert merged == Service(
            "app",
            "services/app:image",
            replicas=2,
            route=Route(path="/", host="shop.example.com"),
            health=Health(drain_s=1.0),
            env={"LOG_LEVEL": "debug", "ZONE": "a", "COLOUR": "blue"},
        )

    def test_override_of_rollout_and_tasks_is_merged_key_by_key(
        self, load: Load, write: WriteService
    ) -> None:
        settings = (
            '[tasks.before_switch]\ncommand = ["migrate", "up"]\ntimeout_s = 60\n'
            "[rollout]\nmax_parallel = 2\nwatch_s = 30\n"
        )
        service = loader.load_services(write("app", SERVICE + settings))["app"]
        migrate = Task(("migrate", "up"), 60.0)
        assert service.rollout == Rollout(max_parallel=2, watch_s=30.0)
        assert service.tasks == Tasks(before_switch=migrate)
        override = (
            "[services.app.rollout]\nmax_parallel = 5\n"
            '[services.app.tasks.after_switch]\ncommand = ["warm-up"]\n'
        )
        merged = loader.for_environment(service, load(ENVIRONMENT + override))
        assert merged.rollout == Rollout(max_parallel=5, watch_s=30.0)
        assert merged.tasks == Tasks(migrate, Task(("warm-up",)))

    def test_overrides_that_give_two_services_one_route_are_refused(self, load: Load) -> None:
        services = [
            Service("app", "services/app:image"),
            Service("shop", "services/shop:image", route=Route("/", "shop.example.com")),
        ]
        assert problems(lambda: loader.require_distinct_routes(services, load(ENVIRONMENT))) == [
            "services.shop.route: app has the same path and host here"
        ]

    def test_service_without_an_override_is_unchanged(self, load: Load) -> None:
        other = Service("other", "services/other:image")
        assert loader.for_environment(other, load(ENVIRONMENT)) == other

    def test_override_of_an_unknown_service_is_reported(self, load: Load, tmp_path: Path) -> None:
        load(ENVIRONMENT)
        file = tmp_path / "environment.toml"
        assert loader.load_environment(file, services=["app", "shop"]).overrides
        assert problems(lambda: loader.load_environment(file, services=["apps"])) == [
            "environment.toml: services.app: unknown service; did you mean apps?"
        ]

    def test_all_problems_are_reported_together(self, load: Load) -> None:
        text = (
            ENVIRONMENT.replace("port = 2222", 'port = "2222"')
            .replace('region = "us-east-1"\n', "")
            .replace("host-2", "host-1")
            .replace("COLOUR", "PORT")
            .replace("allow_dirty = true", "allow_drity = true")
        )
        assert problems(lambda: load(text)) == [
            "environment.toml: registry.region: is missing",
            "environment.toml: hosts[0].port: should be an integer",
            "environment.toml: services.app.env.PORT: should be left out: the tool sets it",
            (
                "environment.toml: allow_drity: unknown key; did you mean allow_dirty? "
                "(docs/environment-files.md#top-level)"
            ),
            "environment.toml: hosts: two hosts are named host-1",
        ]

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            (
                'address = "192.0.2.2"',
                'address = "a b"',
                "hosts[1].address: should be a host name or an address",
            ),
            (
                'address = "192.0.2.2"',
                'address = "127.0.0.1"\nport = 2222',
                "hosts: two hosts have the address 127.0.0.1, port 2222",
            ),
            (
                '"123456789012"',
                '"12"',
                "registry.account: should be an AWS account of 12 digits, in quotes",
            ),
            (
                "[metrics]",
                "[edge]\npreview_port = 80\n[metrics]",
                "edge.preview_port: edge.http_port has the same port, 80",
            ),
            (
                "[metrics]",
                "[metrics]\nport = 80",
                "metrics.port: edge.http_port has the same port, 80",
            ),
            (
                "[metrics]",
                '[edge]\nsubnet = "10.0.0.0/24"\n[metrics]',
                "edge.subnet: should be an IPv4 network such as 10.213.0.0/16",
            ),
            (
                '"http://127.0.0.1:19090"',
                '"127.0.0.1"',
                "metrics.prometheus_url: should be an address that starts with http:// or https://",
            ),
            (
                "replicas = 2",
                "replcias = 2",
                "services.app.replcias: unknown key; did you mean replicas? (docs/service-toml.md#top-level)",
            ),
            (
                "replicas = 2",
                "image = 'x:y'",
                (
                    "services.app.image: stands in services/app/service.toml and is the same in all "
                    "environments"
                ),
            ),
            (
                "drain_s = 1",
                "drian_s = 1",
                "services.app.health.drian_s: unknown key; did you mean drain_s? (docs/service-toml.md#health)",
            ),
            (
                'name = "sandbox"',
                'name = "Sand box"',
                "name: should be a name of a-z, 0-9 and -, such as app-2",
            ),
            ("allow_dirty = true", 'allow_dirty = "yes"', "allow_dirty: should be true or false"),
            (
                "allow_dirty = true",
                'jump = "bastion"',
                (
                    'jump: should be a login and a machine, such as "ops@bastion.example.com:22", '
                    'or "none"'
                ),
            ),
            ("allow_dirty = true", "keep_releases = 0", "keep_releases: should be at least 1"),
            (
                "[metrics]",
                "[edge]\nhttp_port = 22\n[metrics]",
                "edge.http_port: SSH has the same port, 22",
            ),
            (
                "[metrics]",
                "[edge]\npreview_port = 9171\n[metrics]",
                "edge.preview_port: the tool's exporter has the same port, 9171",
            ),
            (
                "[metrics]",
                "[metrics]\nport = 9172",
                "metrics.port: the node exporter has the same port, 9172",
            ),
            (
                "[metrics]",
                '[edge]\nsubnet = "172.17.0.0/16"\n[metrics]',
                "edge.subnet: should be a private network other than 172.17.0.0/16, which is Docker's own",
            ),
            (
                "[metrics]",
                '[edge]\nsubnet = "169.254.0.0/16"\n[metrics]',
                "edge.subnet: should be a private network other than 172.17.0.0/16, which is Docker's own",
            ),
            (
                'address = "192.0.2.2"',
                'address = "10.213.0.5"',
                "edge.subnet: 10.213.0.0/16 contains the address of hosts[1], 10.213.0.5",
            ),
            (
                'address = "192.0.2.2"',
                'address = "a..b"',
                "hosts[1].address: should be a host name or an address",
            ),
            (
                'metrics_address = "host-1:9443"',
                'metrics_address = "host-1:94430"',
                "hosts[0].metrics_address: should be a host and a port, host:port",
            ),
            (
                '"http://127.0.0.1:19090"',
                '"http://bob:pw@127.0.0.1:19090"',
                (
                    "metrics.prometheus_url: should be an address without a login, which others "
                    "could read here"
                ),
            ),
            (
                "COLOUR",
                "IMAGE",
                "services.app.env.IMAGE: should be left out: the tool sets it",
            ),
        ],
    )
    def test_wrong_value_is_reported_with_its_path(
        self, load: Load, old: str, new: str, problem: str
    ) -> None:
        assert problems(lambda: load(ENVIRONMENT.replace(old, new))) == [
            f"environment.toml: {problem}"
        ]

    def test_environment_without_hosts_is_reported(self, load: Load) -> None:
        text = "hosts = []\n" + ENVIRONMENT.split("[[hosts]]", maxsplit=1)[0]
        assert problems(lambda: load(text)) == ["environment.toml: hosts: should list at least one"]

    def test_missing_file_is_reported(self, tmp_path: Path) -> None:
        assert problems(lambda: loader.load_environment(tmp_path / "nope.toml")) == [
            "nope.toml: can't be read: No such file or directory"
        ]

    def test_duplicate_key_is_reported_with_line_and_column(self, load: Load) -> None:
        text = 'name = "a"\nname = "b"\n'
        assert problems(lambda: load(text)) == [
            "environment.toml: is not TOML: Cannot overwrite a value (at line 2, column 11)"
        ]


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just([]), st.just({}),
    st.lists(st.dictionaries(st.text(), st.integers()), max_size=2), st.just([[1]]),
)  # fmt: skip


@given(st.data())
def test_any_wrong_value_gives_problems_and_no_exception(data: st.DataObject) -> None:
    document: Any = copy.deepcopy(tomllib.loads(ENVIRONMENT))
    where = document
    while True:
        keys = list(where) if isinstance(where, dict) else list(range(len(where)))
        key = data.draw(st.sampled_from(keys))
        inner = where[key]
        if isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
            where = inner
            continue
        where[key] = data.draw(VALUES)
        break
    filled, found = problem_texts.parse(document, schema.EnvironmentForm)
    assert (filled is None) == bool(found)
    assert all(": " in problem for problem in found)
    list(checks.problems_of_environment(document, services=["app"]))


def test_the_example_environment_loads() -> None:
    root = next(
        folder for folder in Path(__file__).parents if (folder / "deploy/environments").is_dir()
    )
    environment = loader.load_environment(root / "deploy/environments/production.toml")
    assert environment.name == "production"
    assert environment.names == ("web-1", "web-2")
    assert Path(environment.known_hosts).is_file()
    assert not environment.allow_dirty


def test_this_checkouts_job_images_load() -> None:
    root = next(
        folder for folder in Path(__file__).parents if (folder / "deploy/images.toml").is_file()
    )
    images = loader.load_job_images(root / "deploy/images.toml")
    assert images["job"].service == Service("job", "deploy/job:image")
    assert (images["ship"].target, images["ship"].bases) == (
        "deploy/ship:image",
        ("python", "ship"),
    )
    assert '"$SHIP_PYTHON" -P -m deploy.cli --reference' in images["ship"].commands


def test_all_problems_of_job_images_are_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "images.toml"
    file.write_text('[images.job]\ntarget = "job"\nbases = []\ncomands = ["true"]\n')
    assert problems(lambda: loader.load_job_images(file)) == [
        "images.toml: images.job.target: should be a target's address, such as services/app:image",
        "images.toml: images.job.bases: should list at least one",
        "images.toml: images.job.commands: is missing",
        "images.toml: images.job.comands: unknown key; did you mean commands?",
    ]


def test_read_text_reports_the_missing_file(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("ü\n", encoding="utf-8")
    assert files.read_text(tmp_path / "there") == "ü\n"
    with pytest.raises(ConfigError, match=r"can't read .*nope: No such file"):
        files.read_text(tmp_path / "nope")


def test_who_is_the_pipelines_user_or_the_local_login() -> None:
    assert invoker.who({"GITLAB_USER_LOGIN": "ada"}) == "ada"
    assert "@" in invoker.who({})


def test_pipeline_is_empty_outside_a_pipeline() -> None:
    assert invoker.pipeline({}) == ""
    assert invoker.pipeline({"CI_PIPELINE_URL": "https://gitlab.example.com/p/1"}).endswith("/p/1")


class TestHostileFiles:
    """Files that made Python fail, or take all memory, before the schema saw them."""

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                ".".join("a" * 8000) + " = 1",
                "line 1: a dotted key of more than 16 parts",
            ),
            ("\na = " + "[" * 5000, "line 2: more than 16 brackets inside each other"),
            (
                f"port = {'1' * 5000}",
                "line 1: a number or key of 5000 characters; at most 256 are read",
            ),
            ("#" * 200_000, "is larger than 64 KB"),
        ],
    )
    def test_file_that_exhausts_the_parser_is_a_problem_with_its_line(
        self, write: WriteService, text: str, problem: str
    ) -> None:
        root = write("app", text)
        assert problems(lambda: loader.load_services(root)) == [
            f"services/app/service.toml: {problem}"
        ]

    def test_path_in_the_home_of_an_unknown_user_is_a_problem(self, load: Load) -> None:
        assert problems(lambda: load(ENVIRONMENT.replace("~/keys", "~nosuch/keys"))) == [
            "environment.toml: ssh_key: should be in the home of a user that this machine has"
        ]

    def test_variable_that_names_an_unknown_user_is_reported(
        self, load: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHIP_SSH_KEY", "~nosuch/keys")
        with pytest.raises(ConfigError, match="this machine has no user nosuch; nothing was"):
            load(ENVIRONMENT.replace('"~/keys/deploy_key"', '"$SHIP_SSH_KEY"'))

    def test_at_most_fifty_problems_are_listed(self, write: WriteService) -> None:
        root = write("app", "".join(f"unknown{i} = 1\n" for i in range(3000)))
        found = problems(lambda: loader.load_services(root))
        assert found[-1] == "... and 2952 more"
        assert len(found) == 51
