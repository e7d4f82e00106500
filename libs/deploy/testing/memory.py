"""A Host in memory, with state: understands exactly the command lines that `core.commands` builds, and no other."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from deploy.core import access_log, chorus, commands, delivery, locks, part_commands
from deploy.core.ledger import seal, sealed
from deploy.core.ports import Answer, Clock, Completed
from deploy.testing.access_log import AccessLog, Logged
from deploy.testing.clock import BEGINNING
from deploy.testing.engine import EngineRefusedError, SimulatedContainer, SimulatedEngine
from deploy.testing.nginx import Nginx

PREVIEW_PORT = 8081


class Wire(Protocol):
    """What lies between a deployer and a host: may raise, may replace a command's end."""

    def touch[T](self, host: MemoryHost, effect: Callable[[bool], T], fail: Callable[[], T]) -> T:
        """Lets `effect(half)` happen, or not."""
        ...


@dataclass
class MemoryHost:
    """One host.

    `locked_by` is the token of the lock's holder, "" for nobody; `sources` are pullable images; `answers` are what the
    edge's log has of a release: (all, failed); `tasks` are those that ran, `task_ends` is how each ends.
    """

    name: str
    clock: Clock
    wire: Wire
    sources: set[str]
    engine: SimulatedEngine = field(default_factory=SimulatedEngine)
    files: dict[str, bytes] = field(default_factory=dict)
    edges: list[Nginx] = field(default_factory=list)
    judged_bad: set[str] = field(default_factory=set)
    locked_by: str = ""
    login_refused: bool = False
    pull_refused: bool = False
    stragglers: bool = False
    clock_off_s: float = 0.0
    taken_ports: tuple[int, ...] = ()
    edge_lingers_s: float = 3.0
    asked: int = 0
    answers: dict[str, tuple[int, int]] = field(default_factory=dict)
    log: AccessLog = field(default_factory=AccessLog)
    tasks: list[str] = field(default_factory=list)
    task_ends: Completed = field(default_factory=lambda: Completed(0, "did it\n"))

    # The port.

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Runs argv on the simulated host."""
        del timeout_s
        words = list(argv)

        def effect(half: bool) -> Completed:
            try:
                return self._run(words, stdin, half=half)
            except EngineRefusedError as refused:
                return Completed(1, "", f"{refused}\n")

        return self.wire.touch(self, effect, lambda: Completed(1, "", "told to fail\n"))

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Writes a file."""
        del mode
        self.files[path] = content

    def read(self, path: str) -> bytes | None:
        """Returns a file's content."""
        return self.wire.touch(self, lambda _: self.files.get(path), lambda: None)

    def append(self, path: str, line: str) -> None:
        """Adds a line to a file."""
        self.files[path] = self.files.get(path, b"") + line.encode() + b"\n"

    def stream(self, argv: Sequence[str]) -> Iterator[str]:
        """Yields what the containers say, as the scripts of `core.chorus` mark it."""
        match list(argv):
            case ["sh", "-c", _, "follow", names, "--since", since, *endless]:
                _same(list(argv), chorus.follow(names.split(), since=since, endless=bool(endless)))
                yield from (f"{name} + {name} said something" for name in names.split())
            case ["sh", "-c", _, "execute", _, head, names, _, *command]:
                _same(list(argv), chorus.execute(names.split(), command, head))
                codes = {
                    name: self.engine.containers[name].behaviour.command_ends_with
                    for name in names.split()
                }
                for name, code in codes.items():
                    yield f"{name} + {' '.join(command)}"
                    yield f"{name} = {code}"
                self._record(f'{head}, "code": {max(codes.values())}')
            case _:
                raise AssertionError(f"{self.name}: no such stream: {list(argv)}")

    @contextmanager
    def hold(self, argv: Sequence[str], *, expect: str) -> Iterator[Completed | None]:
        """Keeps the lock for as long as the context lives."""
        token, holder = argv[-2:]
        assert list(argv) == locks.hold(token, holder)
        assert expect == "held"
        ended = self.wire.touch(
            self, lambda _: self._take_lock(token, holder), lambda: Completed(1, "", "told to fail")
        )
        try:
            yield ended
        finally:
            if self.locked_by == token:
                self.locked_by = ""

    def fetch(self, port: int, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """GETs from the preview listener."""
        assert port == PREVIEW_PORT, f"nothing listens on port {port}"
        host, name = ((headers or {}).get(each, "") for each in ("Host", "X-Request-Id"))
        return self.wire.touch(
            self, lambda _: self.answer(port, host, path, name), lambda: Answer(0, b"told to fail")
        )

    def close(self) -> None:
        """There is nothing to close."""

    # The simulation.

    def answer(self, port: int, host: str, path: str, request_id: str = "") -> Answer:
        """What the edge answers; port 80 is the public one, whatever it is published as."""
        taking = [nginx for nginx in self.running_edges() if nginx.workers]
        if not taking:
            return Answer(0, b"connection refused")
        self.asked += 1
        nginx = taking[self.asked % len(taking)]
        location = nginx.conf.find(port, host, path)
        if location is None:
            return Answer(404)
        if location.answer is not None:
            told = location.answer[1].replace("$hostname", nginx.key)
            later = {"retry-after": location.retry_after} if location.retry_after else {}
            return Answer(location.answer[0], told.encode(), later)
        upstream, server = location.chosen(self.asked // len(taking))
        answer, took_s = self._ask(self.engine.at(server))
        # Times differ by a half, so that sides are distributions.
        milliseconds = int(took_s * 1000 * (0.8 + self.asked * 7 % 10 / 20))
        now = self.log.now(self.clock.monotonic())
        self.log.requests.append(
            Logged(now, request_id, upstream, server, answer.status, milliseconds)
        )
        return answer

    @property
    def nginx(self) -> Nginx:
        """The edge that was started last."""
        return self.running_edges()[-1]

    def running_edges(self) -> list[Nginx]:
        """The edges as they are now; one that quits is there until its last worker is gone."""
        for nginx in self.edges:
            nginx.tick(self.clock.monotonic())
        self.edges = [nginx for nginx in self.edges if nginx.workers or nginx.leaving]
        return self.edges

    def folders(self, service: str) -> set[str]:
        """The ids of all releases that have a folder here."""
        start = f"{commands.ROOT}/services/{service}/releases/"
        return {p.removeprefix(start).split("/")[0] for p in self.files if p.startswith(start)}

    def _ask(self, container: SimulatedContainer | None) -> tuple[Answer, float]:
        if container is None or not container.serves(self.clock.monotonic()):
            return Answer(502), 0.001
        behaviour = container.behaviour
        container.asked += 1
        if behaviour.fails_every and container.asked % behaviour.fails_every == 0:
            return Answer(500), behaviour.answers_in_s
        told = container.environment
        release = container.behaviour.answers_as or told["RELEASE"]
        document = {
            "service": told["SERVICE"],
            "release": release,
            "revision": told["REVISION"],
            "config_hash": told["CONFIG_HASH"],
            "replica": told["REPLICA"],
        }
        headers = {"x-release": release, "x-replica": told["REPLICA"]}
        return Answer(200, json.dumps(document).encode(), headers), behaviour.answers_in_s

    def _take_lock(self, token: str, holder: str) -> Completed | None:
        if self.locked_by:
            return Completed(locks.LOCK_TAKEN)
        if self.stragglers:
            return Completed(locks.STRAGGLERS)
        self.locked_by = token
        self.files[locks.TOKEN] = token.encode()
        self.files[locks.HOLDER] = holder.encode() + b"\n"
        return None

    def _run(self, argv: list[str], stdin: bytes, *, half: bool) -> Completed:
        match argv:
            case ["flock", "--shared", "--nonblock", *_]:
                return Completed(locks.LOCK_TAKEN if self.locked_by else 0)
            case [
                "flock",
                "--shared",
                _,
                "sh",
                "-c",
                _,
                "effect",
                _,
                token,
                _,
                head,
                limit,
                *inner,
            ]:
                _same(argv, locks.effect(token, head, inner, float(limit)))
                if self.files.get(locks.TOKEN) != token.encode():
                    return Completed(locks.FENCED)
                done = self._run(inner, stdin, half=half)
                self._record(f'{head}, "code": {done.code}')
                return done
            case ["flock", "--shared", _, "sh", "-c", _, "note", _, token, _, head]:
                _same(argv, locks.note(token, head))
                if self.files.get(locks.TOKEN) != token.encode():
                    return Completed(locks.FENCED)
                self._record(head)
                return Completed(0)
            case ["true"]:
                return Completed(0)
            case ["date", "+%s.%N"]:
                return Completed(0, f"{self.log.now(self.clock.monotonic()):.9f}\n")
            case ["sh", "-c", _, name, *values]:
                return self._script(argv, name, values, stdin, half=half)
            case ["docker", *words]:
                return self._docker(argv, words, half=half)
            case ["id", "--group"]:
                return Completed(0, "1000\n")
            case ["rm", "-rf", *folders]:
                _same(argv, commands.remove_folders(folders))
                for folder in folders:
                    self._remove(folder)
                return Completed(0)
            case _:
                raise AssertionError(f"{self.name}: no such command: {argv}")

    def _script(
        self, argv: list[str], name: str, values: list[str], stdin: bytes, *, half: bool
    ) -> Completed:
        match name, values:
            case "look", _:
                _same(argv, commands.look())
                return Completed(0, self._look())
            case "requests", [since, until, _, _, mark]:
                _same(argv, access_log.count_requests(float(since), float(until), mark))
                return Completed(0, self.log.count(float(since), float(until), mark))
            case "seconds", [since, until, _]:
                _same(argv, access_log.by_second(float(since), float(until)))
                return Completed(0, self.log.by_second(float(since), float(until)))
            case "keep", [folder, name, _]:
                self.files[f"{folder}/{name}"] = stdin
            case "place", [folder]:
                _same(argv, commands.place(folder))
                kept = {p: t for p, t in self.files.items() if p.startswith(f"{folder}/secrets/")}
                self._remove(folder)
                self._unpack(folder, stdin)
                self.files |= kept
            case "secrets", [folder, key]:
                _same(argv, delivery.place_secrets(folder))
                self._place_secrets(folder, key, stdin)
            case "overlay", [folder]:
                _same(argv, commands.overlay(folder))
                self._unpack(folder, stdin)
            case "seed", [folder]:
                _same(argv, commands.seed(folder))
                kept = dict(self.files)
                self._unpack(folder, stdin)
                self.files |= kept
            case "count", [release, since_s]:
                _same(argv, commands.count_answers(release, float(since_s)))
                return Completed(0, "{} {}\n".format(*self.answers.get(release, (100, 0))))
            case "task", [_, *words]:
                return self._task(argv, words, half=half)
            case "retire", names:
                _same(argv, commands.retire_containers(names))
                self.engine.remove(names)
            case "pull", [_, user, registry, *images]:
                _same(argv, commands.pull(user, registry, images))
                return self._pull(images)
            case "routes", [_, _, left, taken]:
                _same(argv, part_commands.replace_routes(len(stdin), left, taken))
                return self._routes(stdin.decode())
            case "processes", []:
                _same(argv, part_commands.edge_processes())
                return Completed(0, "".join(nginx.top() for nginx in self.running_edges()))
            case "start", [project, folder]:
                return self._up_part(project, folder)
            case "retire-part", [_, part, *keys]:
                _same(argv, part_commands.retire(part, keys))
                self._retire(part, keys)
            case _:
                raise AssertionError(f"{self.name}: no such script: {name} {values}")
        return Completed(0)

    def _docker(self, argv: list[str], words: list[str], *, half: bool) -> Completed:
        now_s, engine = self.clock.monotonic(), self.engine
        match words:
            case ["network", "create", *_, network]:
                assert network == commands.NETWORK
                engine.create_network()
            case ["run", "--rm", *_, image, "nginx", "-t", "-q", "-c", _]:
                bad = image in self.judged_bad
                return (
                    Completed(1, "", "nginx: [emerg] unknown directive\n") if bad else Completed(0)
                )
            case ["inspect", *names]:
                found = [engine.containers[name] for name in names if name in engine.containers]
                text = json.dumps([each.inspected(now_s) for each in found])
                return Completed(0 if len(found) == len(names) else 1, text)
            case ["logs", "--tail", _, container]:
                return Completed(0, f"{container} said its last words\n")
            case ["image", "inspect", "--format", "{{.Size}}", image]:
                return Completed(0, "65000000\n") if image in engine.images else Completed(1)
            case ["image", "rm", *images]:
                engine.remove_images(images)
            case ["rm", "--force", *names]:
                _same(argv, commands.remove_containers(names))
                engine.remove(names)
            case ["compose", "--project-name", project, "--project-directory", folder, *verb]:
                return self._compose(project, folder, verb, half=half)
            case ["compose", "--project-name", project, "down"]:
                engine.down(project)
            case _:
                raise AssertionError(f"{self.name}: no such docker command: {words}")
        return Completed(0)

    def _compose(self, project: str, folder: str, verb: list[str], *, half: bool) -> Completed:
        compose, environment = (
            self.files.get(f"{folder.rstrip('/')}/compose.yml"),
            self._environment(folder),
        )
        if compose is None:
            return Completed(1, "", "no configuration file provided: not found\n")
        now_s = self.clock.monotonic()
        match verb:
            case ["config", "--quiet"]:
                json.loads(compose)
            case ["up", "--detach", "--no-recreate", "--quiet-pull"]:
                most = 2 if half else 999
                whole = self._whole(folder, compose.decode())
                self.engine.up(whole, environment["IMAGE"], project, now_s, most=most)
            case _:
                raise AssertionError(f"{self.name}: no such compose command: {verb}")
        return Completed(0)

    def _task(self, argv: list[str], words: list[str], *, half: bool) -> Completed:
        """Runs a release's one-off container."""
        project, folder, container = words[3], words[5], words[words.index("--name") + 1]
        ran = words[words.index("task", words.index("--name")) + 1 :]
        assert "task" in json.loads(self.files[f"{folder}/compose.yml"])["services"]
        assert self._environment(folder)["IMAGE"] in self.engine.images
        assert container.startswith(f"{project}-")
        self.tasks.append(" ".join(ran))
        return Completed(137) if half else self.task_ends

    def secrets_of(self, container: SimulatedContainer) -> dict[str, str]:
        """What a replica sees at /run/secrets, and in its environment from where its secrets come in."""
        label = container.labels["py-cicd.release"]
        folder = f"{commands.release_folder(container.labels['py-cicd.service'], label)}/secrets"
        seen = {
            path.rpartition("/")[2]: content.decode()
            for path, content in self.files.items()
            if path.startswith(f"{folder}/files/")
        }
        told = _extended(self.files.get(f"{folder}/replica.json", b""))
        return seen | {name: container.environment[name] for name in told}

    def _whole(self, folder: str, compose: str) -> str:
        """The compose text with what it extends, as far as that is written where secrets are."""
        document = json.loads(compose)
        for service in document["services"].values():
            if (file := service["extends"]["file"]) != "replica.yml":
                if f"{folder}/{file}" not in self.files:
                    raise EngineRefusedError(f"open {folder}/{file}: no such file or directory")
                told = _extended(self.files[f"{folder}/{file}"])
                service["environment"] = {**told, **service["environment"]}
            for volume in service.get("volumes", ()):
                source = f"{folder}/{volume['source'].removeprefix('./')}/"
                if not any(path.startswith(source) for path in self.files):
                    raise EngineRefusedError(f"bind source path does not exist: {source}")
        return json.dumps(document)

    def _place_secrets(self, folder: str, key: str, tar: bytes) -> None:
        self._remove(f"{folder}/secrets")
        self._unpack(f"{folder}/secrets", tar)
        if (found := self.files.pop(f"{folder}/secrets/key", None)) is not None:
            self.files[key] = found

    def _up_part(self, project: str, folder: str) -> Completed:
        told, now_s = self._environment(folder), self.clock.monotonic()
        image, key = told["PART_IMAGE"], told["PART_KEY"]
        edge = folder.startswith(f"{commands.ROOT}/edge/")
        part = "edge" if edge else folder.rstrip("/").rpartition("/")[2]
        if self.engine.up_part(part, image, key, project, now_s) and edge:
            pids = 9 + 100 * len(self.edges)
            text = self.files[commands.ROUTES].decode()
            self.edges.append(Nginx.started(text, key, first_pid=pids))
            self.nginx.lingers_s = self.edge_lingers_s
        return Completed(0)

    def _retire(self, part: str, keys: list[str]) -> None:
        for key in keys:
            self.engine.retire_part(part, key)
            self._remove(f"{commands.ROOT}/{part}/{key}")
            self._remove(f"{commands.ROOT}/{part}/conf/{key}")
            for nginx in self.running_edges():
                if (part, nginx.key) == ("edge", key):
                    nginx.quit(self.clock.monotonic())

    def _pull(self, images: list[str]) -> Completed:
        if self.login_refused:
            return Completed(commands.LOGIN_REFUSED, "", "denied: wrong password\n")
        for image in images:
            if self.pull_refused or image not in self.sources:
                return Completed(1, "", f"manifest for {image} not found\n")
            self.engine.images.add(image)
        return Completed(0)

    def _routes(self, text: str) -> Completed:
        edges = [nginx for nginx in self.running_edges() if nginx.workers]
        if not edges:
            return Completed(part_commands.NGINX_REFUSED, "", "no edge runs\n")
        try:
            for nginx in edges:
                nginx.judge(text)
        except ValueError as refused:
            return Completed(part_commands.NGINX_REFUSED, "", f"{refused}\n")
        self.files[commands.ROUTES] = text.encode()
        for nginx in edges:
            nginx.hang_up(text, self.clock.monotonic())
        return Completed(0)

    def _look(self) -> str:
        now_s, engine = self.clock.monotonic(), self.engine
        lines = [
            f"engine {engine.version}",
            f"compose {engine.compose_version}",
            f"disk {engine.disk_free_bytes}",
            *(["network py-cicd"] if engine.network else []),
            *(f"image {image}" for image in sorted(engine.images)),
            *(f"container {json.dumps(c.inspected(now_s))}" for c in engine.containers.values()),
        ]
        for path, content in sorted(self.files.items()):
            if path.endswith("/release.json"):
                lines += [f"release {line}" for line in content.decode().splitlines()]
            if path.startswith(f"{commands.TARGETS}/"):
                digest = hashlib.sha256(content).hexdigest()
                lines.append(f"targets {digest}  {path.rpartition('/')[2]}")
        routes = self.files.get(commands.ROUTES, b"").decode()
        lines += [f"routes {line}" for line in routes.splitlines()[:1]]
        lines.append(f"now {BEGINNING.timestamp() + now_s + self.clock_off_s:.0f}")
        lines += [f"socket 0: 00000000:{port:04X} 00000000:0000 0A" for port in self.taken_ports]
        for path, content in sorted(self.files.items()):
            if path.endswith("/hold.json"):
                lines.append(f"hold {content.decode().strip()}")
        ledger = self.files.get(locks.LEDGER, b"").decode()
        kept = (line for line in ledger.splitlines() if not _passed_over(line))
        return "\n".join([*lines, *(f"ledger {line}" for line in kept)]) + "\n"

    def _record(self, head: str) -> None:
        """Adds a line to the ledger, as the host's script does."""
        before = self.files.get(locks.LEDGER, b"")
        torn = b"" if not before or before.endswith(b"\n") else b"\n"
        line = sealed(head, _last(before + torn))
        self.files[locks.LEDGER] = before + torn + line.encode() + b"\n"
        count = self.files[locks.LEDGER].count(b"\n")
        self.files[locks.SEAL] = f"{count} {seal(line)}\n".encode()

    def _environment(self, folder: str) -> dict[str, str]:
        lines = self.files.get(f"{folder.rstrip('/')}/.env", b"").decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def _unpack(self, folder: str, tar: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member)
                self.files[f"{folder}/{member.name}"] = content.read() if content else b""

    def _remove(self, folder: str) -> None:
        kept = {
            path: text
            for path, text in self.files.items()
            if path != folder and not path.startswith(f"{folder}/")
        }
        self.files.clear()
        self.files.update(kept)


def _passed_over(line: str) -> bool:
    return any(f'"event": "{each}"' in line for each in ("effect", "judged"))


def _last(text: bytes) -> str:
    return text.decode().rstrip("\n").rpartition("\n")[2]


def _extended(text: bytes) -> dict[str, str]:
    document = json.loads(text or b'{"services": {"replica": {}}}')
    told: dict[str, str] = document["services"]["replica"].get("environment", {})
    return told


def _same(argv: list[str], built: list[str]) -> None:
    if argv != built:
        raise AssertionError(f"not what core.commands builds: {argv}, but {built}")
