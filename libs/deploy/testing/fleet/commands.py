"""Runs on a simulated host the commands that `deploy.core` builds, and fails for any other."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import UTC, datetime

from deploy.core.analysis import access_log
from deploy.core.commands import (
    docker,
    draining,
    edge_state,
    files,
    kept_logs,
    locks,
    paths,
    secret_files,
    snapshot,
    sockets,
    stacks,
)
from deploy.core.ports import Completed
from deploy.core.state.edge import named_state
from deploy.testing.fleet.files import (
    environment_of,
    place_secrets,
    record,
    remove,
    unpack,
    whole_compose,
)
from deploy.testing.fleet.nginx import Nginx
from deploy.testing.fleet.simulated_host import SimulatedHost


class CommandLine:
    """Has the effects that the host scripts and `docker` would have on one host."""

    def __init__(self, host: SimulatedHost) -> None:
        self._host = host

    def run(self, argv: list[str], stdin: bytes, *, half: bool) -> Completed:
        """Runs a command, or half of it. Raises AssertionError for a command that the deploy tool doesn't build."""
        match argv:
            case ["flock", "--shared", "--nonblock", *_]:
                return Completed(locks.LOCK_TAKEN if self._host.locked_by else 0)
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
                assert_built(argv, locks.effect(token, head, inner, float(limit)))
                if self._host.files.get(locks.TOKEN) != token.encode():
                    return Completed(locks.FENCED)
                done = self.run(inner, stdin, half=half)
                record(self._host.files, f'{head}, "code": {done.code}')
                return done
            case ["flock", "--shared", _, "sh", "-c", _, "record", _, token, _, head]:
                assert_built(argv, locks.record(token, head))
                if self._host.files.get(locks.TOKEN) != token.encode():
                    return Completed(locks.FENCED)
                record(self._host.files, head)
                return Completed(0)
            case ["date", "+%s.%N"]:
                return Completed(0, f"{self._host.log.now(self._host.clock.monotonic()):.9f}\n")
            case ["sh", "-c", _, name, *values]:
                return self._script(argv, name, values, stdin, half=half)
            case ["docker", *words]:
                return self._docker(argv, words, half=half)
            case ["cat", tcp, _] if tcp.endswith("/net/tcp"):
                pid = int(tcp.split("/")[2])
                assert_built(argv, sockets.list_listeners(pid))
                found = (c for c in self._host.engine.containers.values() if c.pid == pid)
                return Completed(1, next((c.sockets() for c in found), ""))
            case ["id", "--group"]:
                return Completed(0, "1000\n")
            case ["rm", "-rf", *folders]:
                assert_built(argv, files.remove_folders(folders))
                for folder in folders:
                    remove(self._host.files, folder)
                return Completed(0)
            case _:
                raise AssertionError(f"{self._host.name}: unknown command: {argv}")

    def _script(
        self, argv: list[str], name: str, values: list[str], stdin: bytes, *, half: bool
    ) -> Completed:
        match name, values:
            case "snapshot", _:
                assert_built(argv, snapshot.take())
                return Completed(0, self._snapshot())
            case "requests", [since, until, _, _, _, prefix]:
                assert_built(argv, access_log.count_requests(float(since), float(until), prefix))
                self._host.receive_visits(float(since))
                return Completed(0, self._host.log.count(float(since), float(until), prefix))
            case "seconds", [since, until, _, _, _]:
                assert_built(argv, access_log.by_second(float(since), float(until)))
                return Completed(0, self._host.log.by_second(float(since), float(until)))
            case "keep", [folder, name, _]:
                self._host.files[f"{folder}/{name}"] = stdin
            case "place", [folder]:
                assert_built(argv, files.place(folder))
                kept = {
                    p: t for p, t in self._host.files.items() if p.startswith(f"{folder}/secrets/")
                }
                remove(self._host.files, folder)
                unpack(self._host.files, folder, stdin)
                self._host.files |= kept
            case "read-logs", [_, _, folder, *containers]:
                service, release = folder.split("/")[-3], folder.rpartition("/")[2]
                assert_built(argv, kept_logs.read(service, release, containers))
                return Completed(0, self._logs(folder, containers))
            case "keep-logs", [folder, release, kept, *dropped]:
                service = folder.split("/")[-2]
                assert_built(argv, kept_logs.keep(service, release, dropped))
                assert kept == f"{paths.release_folder(service, release)}/{kept_logs.RECORD}"
                unpack(self._host.files, f"{folder}/{release}", gzip.decompress(stdin))
                if not half:
                    if kept in self._host.files:
                        copy = f"{folder}/{release}/{kept_logs.RECORD}"
                        self._host.files[copy] = self._host.files[kept]
                    for old in dropped:
                        remove(self._host.files, f"{folder}/{old}")
            case "print-logs", [folder, release]:
                return Completed(0, self._kept_logs(folder, release))
            case "list-logs", [folder]:
                kept_releases = {line.split()[0] for line in self._kept_logs(folder).splitlines()}
                return Completed(0, "".join(f"{name}\n" for name in sorted(kept_releases)))
            case "secrets", [folder, key]:
                assert_built(argv, secret_files.place_secrets(folder))
                place_secrets(self._host.files, folder, key, stdin)
            case "overlay", [folder]:
                assert_built(argv, files.overlay(folder))
                unpack(self._host.files, folder, stdin)
            case "seed", [folder]:
                assert_built(argv, files.seed(folder))
                kept = dict(self._host.files)
                unpack(self._host.files, folder, stdin)
                self._host.files |= kept
            case "task", [_, *words]:
                return self._task(argv, words, half=half)
            case "stop", names:
                assert_built(argv, docker.stop_containers(names))
                self._host.engine.remove(names)
            case "pull", [_, user, registry, *images]:
                assert_built(argv, docker.pull(user, registry, images))
                return self._pull(images)
            case "holder", _:
                assert_built(argv, locks.holder())
                return Completed(0, self._host.files.get(locks.HOLDER, b"").decode())
            case "edge-state", _:
                assert_built(argv, edge_state.read())
                return Completed(0, "".join(f"{line}\n" for line in self._edge_state()))
            case "stored-state", [folder, prefix]:
                assert_built(argv, edge_state.stored(prefix))
                found = [
                    content.decode()
                    for path, content in sorted(self._host.files.items())
                    if path.startswith(f"{folder}/{prefix}") and path.endswith(".json")
                ]
                return Completed(0 if found else 1, "".join(found))
            case "routes", [_, size, left, taken, _, _, _, stored]:
                state, text = stdin[: int(stored)], stdin[int(stored) :]
                assert_built(argv, stacks.replace_routes(int(size), left, taken, state))
                return self._routes(state, text.decode(), half=half)
            case "processes", []:
                assert_built(argv, stacks.edge_processes())
                return Completed(0, "".join(nginx.top() for nginx in self._host.running_edges()))
            case "draining-records", [folder]:
                found = sorted(path for path in self._host.files if path.startswith(f"{folder}/"))
                texts = [self._host.files[path] for path in found if path.endswith(".json")]
                return Completed(0, b"".join(texts).decode())
            case "draining-look", []:
                assert_built(argv, draining.look())
                time = f"{self._host.log.now(self._host.clock.monotonic()):.3f}\n"
                top = "".join(nginx.top() for nginx in self._host.running_edges())
                return Completed(0, time + top)
            case "begin-draining", [_, file, mark, size]:
                assert len(stdin) == int(size)
                self._host.files.pop(mark, None)
                self._host.files[file] = stdin
            case "cancel-draining", [_, file, mark]:
                ended = self._host.files.get(mark, b"").decode().split()
                self._host.engine.remove_ids(ended)
                if not half:
                    self._host.files.pop(file, None)
                    self._host.files.pop(mark, None)
            case "start-replicas", [project, folder]:
                assert all(
                    shares == {"cpu_shares": docker.STARTING_SHARES}
                    for shares in json.loads(stdin)["services"].values()
                )
                return self._up_replicas(project, folder, half=half)
            case "start", [project, folder]:
                return self._up_stack(project, folder)
            case "stop-stacks", [_, stack, *keys]:
                assert_built(argv, stacks.stop(stack, keys))
                self._stop_stacks(stack, keys)
            case "remove-stack", [folder, name]:
                assert_built(argv, stacks.remove(name))
                self._host.engine.halt_stack(name)
                if not half:
                    remove(self._host.files, folder)
                    self._host.engine.remove_stack(name)
            case _:
                raise AssertionError(f"{self._host.name}: unknown script: {name} {values}")
        return Completed(0)

    def _docker(self, argv: list[str], words: list[str], *, half: bool) -> Completed:
        now_s, engine = self._host.clock.monotonic(), self._host.engine
        match words:
            case ["network", "create", *_, network]:
                assert network == paths.NETWORK
                engine.create_network()
            case ["run", "--rm", *_, image, "nginx", "-t", "-q", "-c", _]:
                bad = image in self._host.refused_by_nginx
                return (
                    Completed(1, "", "nginx: [emerg] unknown directive\n") if bad else Completed(0)
                )
            case ["inspect", *names]:
                found = [engine.containers[name] for name in names if name in engine.containers]
                text = json.dumps([container.inspected(now_s) for container in found])
                return Completed(0 if len(found) == len(names) else 1, text)
            case ["logs", "--tail", _, container]:
                logging = engine.containers.get(container)
                before = logging.behaviour.logs if logging else ""
                return Completed(0, f"{before}{container} printed its last line\n")
            case ["image", "inspect", "--format", "{{.Size}}", image]:
                return Completed(0, "65000000\n") if image in engine.images else Completed(1)
            case ["image", "rm", *images]:
                engine.remove_images(images)
            case ["update", "--cpu-shares", _, *names]:
                assert_built(argv, docker.share_fully(names))
                engine.share_fully(names)
            case ["rm", "--force", *names]:
                assert_built(argv, docker.remove_containers(names))
                engine.remove(names)
            case ["compose", _, _, "--project-directory", folder, "config", "--quiet"]:
                return self._check_compose(folder)
            case ["compose", "--project-name", project, "down", "--timeout", _]:
                engine.down(project)
            case _:
                raise AssertionError(f"{self._host.name}: unknown docker command: {words}")
        return Completed(0)

    def _logs(self, folder: str, containers: list[str]) -> str:
        """Returns what `kept_logs.read` prints: the containers' logs, then the release's secrets."""
        now = datetime.fromtimestamp(self._host.log.now(self._host.clock.monotonic()), UTC)
        when = now.strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        lines = []
        for name in containers:
            found = self._host.engine.containers.get(name)
            printed = f"{found.behaviour.logs}{name} printed its last line\n" if found else ""
            text = "".join(f"{when} {line}\n" for line in printed.splitlines())
            lines.append(f"log {name} {kept_logs.packed(text.encode())}\n")
        for path, content in sorted(self._host.files.items()):
            name = path.rpartition("/")[2]
            if path.startswith(f"{folder}/secrets/files/"):
                lines.append(f"secret {name} {kept_logs.packed(content)}\n")
            if path == f"{folder}/secrets/replica.json":
                lines.append(f"environment {name} {kept_logs.packed(content)}\n")
        return "".join(lines)

    def _kept_logs(self, folder: str, release: str = "") -> str:
        """Returns what `kept_logs.print_kept` prints."""
        found = (
            (path.removeprefix(f"{folder}/").split("/"), content)
            for path, content in sorted(self._host.files.items())
            if path.startswith(f"{folder}/") and path.endswith(".log")
        )
        return "".join(
            f"{owner} {file} {kept_logs.packed(content)}\n"
            for (owner, file), content in found
            if release in ("", owner)
        )

    def _up_replicas(self, project: str, folder: str, *, half: bool) -> Completed:
        environment = environment_of(self._host.files, folder)
        compose = self._host.files.get(f"{folder.rstrip('/')}/compose.yml")
        if compose is None:
            return Completed(
                docker.FILES_REFUSED, "", "no configuration file provided: not found\n"
            )
        now_s, most = self._host.clock.monotonic(), 2 if half else 999
        whole = whole_compose(self._host.files, folder, compose.decode())
        shares = docker.STARTING_SHARES
        self._host.engine.up(
            whole, environment["IMAGE"], project, now_s, most=most, cpu_shares=shares
        )
        return Completed(0)

    def _check_compose(self, folder: str) -> Completed:
        compose = self._host.files.get(f"{folder.rstrip('/')}/compose.yml")
        if compose is None:
            return Completed(1, "", "no configuration file provided: not found\n")
        json.loads(compose)
        return Completed(0)

    def _task(self, argv: list[str], words: list[str], *, half: bool) -> Completed:
        """Runs a one-off container of a release."""
        project, folder, container = words[3], words[5], words[words.index("--name") + 1]
        ran = words[words.index("task", words.index("--name")) + 1 :]
        assert "task" in json.loads(self._host.files[f"{folder}/compose.yml"])["services"]
        assert environment_of(self._host.files, folder)["IMAGE"] in self._host.engine.images
        assert container.startswith(f"{project}-")
        self._host.tasks.append(" ".join(ran))
        return Completed(137) if half else self._host.task_ends

    def _up_stack(self, project: str, folder: str) -> Completed:
        environment, now_s = environment_of(self._host.files, folder), self._host.clock.monotonic()
        image, key = environment["PART_IMAGE"], environment["PART_KEY"]
        edge = folder.startswith(f"{paths.ROOT}/edge/")
        stack = "edge" if edge else folder.rstrip("/").rpartition("/")[2]
        if self._host.engine.up_stack(stack, image, key, project, now_s) and edge:
            pids = 9 + 100 * len(self._host.edges)
            text = self._host.files[paths.ROUTES].decode()
            self._host.edges.append(Nginx.started(text, key, first_pid=pids))
            self._host.nginx.lingers_s = self._host.edge_lingers_s
        return Completed(0)

    def _stop_stacks(self, stack: str, keys: list[str]) -> None:
        for key in keys:
            self._host.engine.stop_stack(stack, key)
            remove(self._host.files, f"{paths.ROOT}/{stack}/{key}")
            remove(self._host.files, f"{paths.ROOT}/{stack}/conf/{key}")
            for nginx in self._host.running_edges():
                if (stack, nginx.key) == ("edge", key):
                    nginx.quit(self._host.clock.monotonic())

    def _pull(self, images: list[str]) -> Completed:
        if self._host.login_refused:
            return Completed(docker.LOGIN_FAILED, "", "unauthorized: wrong password\n")
        for image in images:
            if self._host.pull_refused or image not in self._host.sources:
                return Completed(1, "", f"manifest for {image} not found\n")
            self._host.engine.images.add(image)
        return Completed(0)

    def _edge_state(self) -> list[str]:
        if (routes := self._host.files.get(paths.ROUTES)) is None:
            return []
        first = routes.decode().partition("\n")[0]
        named = named_state(first)
        stored = self._host.files.get(paths.state_file(named)) if named else None
        state = [f"state {stored.decode()}"] if stored is not None else []
        return [f"routes {first}", *state]

    def _routes(self, state: bytes, text: str, *, half: bool) -> Completed:
        edges = [nginx for nginx in self._host.running_edges() if nginx.workers]
        if not edges:
            return Completed(stacks.NGINX_REFUSED, "", "no edge runs\n")
        try:
            for nginx in edges:
                nginx.check(text)
        except ValueError as refused:
            return Completed(stacks.NGINX_REFUSED, "", f"{refused}\n")
        processes = "".join(nginx.top() for nginx in self._host.running_edges())
        self._host.files[paths.state_file(hashlib.sha256(state).hexdigest())] = state
        if half:
            return Completed(137)
        self._host.files[paths.ROUTES] = text.encode()
        for nginx in edges:
            nginx.reload(text, self._host.clock.monotonic())
        return Completed(0, processes)

    def _snapshot(self) -> str:
        now_s, engine = self._host.clock.monotonic(), self._host.engine
        lines = [
            f"engine {engine.version}",
            f"compose {engine.compose_version}",
            f"disk {engine.disk_free_bytes}",
            *(["network py-cicd"] if engine.network else []),
            *(f"image {image}" for image in sorted(engine.images)),
            *(f"container {json.dumps(c.inspected(now_s))}" for c in engine.containers.values()),
        ]
        for path, content in sorted(self._host.files.items()):
            if "/releases/" in path and path.endswith("/release.json"):
                lines += [f"release {line}" for line in content.decode().splitlines()]
            if path.startswith(f"{paths.TARGETS}/"):
                digest = hashlib.sha256(content).hexdigest()
                lines.append(f"targets {digest}  {path.rpartition('/')[2]}")
        lines += self._edge_state()
        lines.append(f"now {self._host.log.now(now_s):.0f}")
        lines += [
            f"socket 0: 00000000:{port:04X} 00000000:0000 0A" for port in self._host.taken_ports
        ]
        if self._host.locked_by:
            lines.append(f"holder {self._host.files.get(locks.HOLDER, b'').decode().strip()}")
        for path, content in sorted(self._host.files.items()):
            if path.endswith("/hold.json"):
                lines.append(f"hold {content.decode().strip()}")
            if "/draining/" in path and path.endswith(".json"):
                lines.append(f"draining {content.decode().strip()}")
        if any(path in self._host.files for path in paths.WATCHDOG_PAUSES):
            lines.append("paused watchdog")
        services = f"{paths.ROOT}/services/"
        folders = {
            path.rpartition("/")[0] for path in self._host.files if path.startswith(services)
        }
        kept = (folder.removeprefix(services) for folder in sorted(folders) if "/logs/" in folder)
        lines += [f"kept {folder}" for folder in kept]
        if seal := self._host.files.get(locks.SEAL, b"").decode().strip():
            lines.append(f"seal {seal}")
        ledger = self._host.files.get(locks.LEDGER, b"").decode()
        if locks.LEDGER in self._host.files:
            lines.append(f"lines {ledger.count(chr(10))}")
        shown = (line for line in ledger.splitlines() if not _is_omitted(line))
        return "\n".join([*lines, *(f"ledger {line}" for line in shown)]) + "\n"


def assert_built(argv: list[str], built: list[str]) -> None:
    """Raises AssertionError if argv isn't what the deploy tool builds."""
    if argv != built:
        raise AssertionError(f"unexpected command: {argv}, expected {built}")


def _is_omitted(line: str) -> bool:
    return any(f'"event": "{event}"' in line for event in ("effect", "judged", "drained"))
