"""What a base image is made of, as its recipe says, and the key that names that content; never builds one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from glob import translate
from typing import Any

from deploy.errors import ConfigError

# Compiles C in the unpacked system, and is left out of the image. tcc needs libc6 alone and no headers, where gcc
# would bring 150 MB: a program must call the kernel directly.
COMPILER = "tcc"

# Raised whenever the way a recipe becomes an image changes: every base is then built anew.
FORMAT = 2

# What mmdebstrap takes over from the machine it runs on, or what no container needs.
ALWAYS_DROPPED = (
    "boot",
    "dev/*",
    "etc/{apt,default,fstab,hostname,init.d,resolv.conf,update-motd.d}",
    "etc/{cron.d,cron.daily,logrotate.d,systemd,ufw,apparmor.d}",
    "usr/lib/{systemd,tmpfiles.d,sysusers.d,udev}",
    "usr/share/{bash-completion,bug,doc,doc-base,info,lintian,locale,man,menu,metainfo}",
    "var/{backups,cache,local,mail,opt,spool}",
    "var/lib/{apt,dpkg}",
)


@dataclass(frozen=True)
class Owned:
    """An empty folder's mode and owner."""

    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class OwnFile:
    """A file of the recipe's `files/` folder: its path in the image, content and whether it runs."""

    path: str
    content: bytes
    executable: bool


@dataclass(frozen=True)
class Recipe:
    """A base image before it is built.

    `without` names packages that dependencies ask for and the image does without; `drop` holds glob patterns
    (braces and `**` allowed) from the root; `joins` writes all files of a pattern into one; `day` is the image's
    time, and raising it takes in the archive's newer packages. `programs` are C sources by the path of the program
    that is compiled from them.
    """

    name: str
    key: str
    suite: str
    day: date
    packages: tuple[str, ...]
    without: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    compile: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, Owned] = field(default_factory=dict)
    joins: Mapping[str, str] = field(default_factory=dict)
    files: tuple[OwnFile, ...] = ()
    programs: Mapping[str, bytes] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unpacked(self) -> tuple[str, ...]:
        """Returns the packages to unpack for the build."""
        return (*self.packages, COMPILER) if self.programs else self.packages

    @property
    def left_out(self) -> tuple[str, ...]:
        """Returns the packages whose files are not in the image."""
        return (*self.without, COMPILER) if self.programs else self.without

    @property
    def image(self) -> str:
        """The image's name and tag in an engine."""
        return f"py-cicd/base-{self.name}:{self.key}"

    @property
    def epoch(self) -> int:
        """The image's time in seconds since 1970."""
        return int(datetime.combine(self.day, datetime.min.time(), UTC).timestamp())


KNOWN = {
    "suite",
    "date",
    "packages",
    "without",
    "drop",
    "compile",
    "links",
    "folders",
    "joins",
    "programs",
    "config",
}


def parse_recipe(
    name: str,
    source: bytes,
    values: Mapping[str, Any],
    files: tuple[OwnFile, ...],
    programs: Mapping[str, bytes] | None = None,
) -> Recipe:
    """Makes a recipe of recipe.toml's bytes, its parsed values and the files beside it. Raises ConfigError."""
    programs = programs or {}
    unknown = sorted(set(values) - KNOWN)
    missing = sorted({"suite", "date", "packages"} - set(values))
    if unknown or missing:
        problems = (
            *(f"{each}: unknown key" for each in unknown),
            *(f"{each}: missing" for each in missing),
        )
        raise ConfigError(
            f"deploy/base/{name}/recipe.toml is wrong: {'; '.join(problems)}", problems=problems
        )
    return Recipe(
        name=name,
        key=key_of(
            source, (*files, *(OwnFile(path, text, True) for path, text in programs.items()))
        ),
        suite=values["suite"],
        day=values["date"],
        packages=tuple(values["packages"]),
        without=tuple(values.get("without", ())),
        drop=tuple(values.get("drop", ())),
        compile=tuple(values.get("compile", ())),
        links=values.get("links", {}),
        folders={path: _owned(text) for path, text in values.get("folders", {}).items()},
        joins=values.get("joins", {}),
        files=files,
        programs=programs,
        config=values.get("config", {}),
    )


def key_of(source: bytes, files: tuple[OwnFile, ...]) -> str:
    """Returns the twelve hex digits that name this recipe's content."""
    digest = hashlib.sha256(f"{FORMAT}\0".encode())
    digest.update(hashlib.sha256(source).digest())
    for each in sorted(files, key=lambda file: file.path):
        digest.update(
            f"{each.path}\0{each.executable}\0".encode() + hashlib.sha256(each.content).digest()
        )
    return digest.hexdigest()[:12]


def _owned(text: str) -> Owned:
    mode, _, owner = text.partition(" ")
    uid, _, gid = owner.partition(":")
    return Owned(int(mode, 8), int(uid), int(gid))


def matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compiles glob patterns into one that matches a path they name or any path below it."""
    alternatives = [
        translate(each, recursive=True, include_hidden=True)
        for pattern in patterns
        for whole in expand(pattern)
        for each in (whole, f"{whole}/**")
    ]
    return re.compile("|".join(alternatives) or r"(?!)")


def expand(pattern: str) -> list[str]:
    """Writes out braces as a shell does: `a/{b,c}` is `a/b` and `a/c`."""
    if (found := re.search(r"\{([^{}]*)\}", pattern)) is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [each for part in found[1].split(",") for each in expand(before + part + after)]
