"""Recipes of base images, and the key that names a recipe's content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from glob import translate
from typing import Any

from deploy.errors import ConfigError

# Compiles C in the unpacked system and is left out of the image. tcc needs only libc6 and no headers, while gcc needs
# 150 MB; in return a program must call the kernel directly.
COMPILER = "tcc"

# Raise this when the same recipe gives another image: every base image is then built again.
FORMAT = 2

# Files that mmdebstrap copies from the machine it runs on, and files that no container needs.
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
    """The mode and owner of an empty folder."""

    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class OwnFile:
    """A file in the recipe's `files/` folder; `path` is where it goes in the image."""

    path: str
    content: bytes
    executable: bool


@dataclass(frozen=True)
class Recipe:
    """How to build a base image.

    `without` names dependencies that are left out. `drop` has glob patterns from the root, with braces and `**`.
    `joins` maps a file to the pattern of the files that are concatenated into it. `day` is the time of the image's
    files; a later day rebuilds the image with the archive's newer packages. `compile` names folders of Python modules
    that get byte code, `sourceless` those that have byte code alone. `programs` maps the path of a program to the C
    source that it is compiled from.
    """

    name: str
    key: str
    suite: str
    day: date
    packages: tuple[str, ...]
    without: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    compile: tuple[str, ...] = ()
    sourceless: tuple[str, ...] = ()
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
    def dropped(self) -> tuple[str, ...]:
        """Returns the patterns of the files that are not in the image."""
        # Compiling leaves byte code of what it imports in __pycache__, where only modules with a source use it.
        sources = (f"{folder.strip('/')}/**/{{*.py,__pycache__}}" for folder in self.sourceless)
        return (*ALWAYS_DROPPED, *self.drop, *sources)

    @property
    def image(self) -> str:
        """The image's name and tag in an engine."""
        return f"py-cicd/base-{self.name}:{self.key}"

    @property
    def epoch(self) -> int:
        """The time of the image's files in seconds since 1970."""
        return int(datetime.combine(self.day, datetime.min.time(), UTC).timestamp())


KNOWN = {
    "suite",
    "date",
    "packages",
    "without",
    "drop",
    "compile",
    "sourceless",
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
    """Returns the recipe in recipe.toml (its bytes and parsed values) with the files beside it. Raises ConfigError."""
    programs = programs or {}
    unknown = sorted(set(values) - KNOWN)
    missing = sorted({"suite", "date", "packages"} - set(values))
    if unknown or missing:
        problems = (
            *(f"{key}: unknown key" for key in unknown),
            *(f"{key}: missing" for key in missing),
        )
        raise ConfigError(
            f"deploy/base/{name}/recipe.toml is wrong: {'; '.join(problems)}",
            problems=problems,
            hint="correct what is listed, then run this again",
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
        sourceless=tuple(values.get("sourceless", ())),
        links=values.get("links", {}),
        folders={path: _owned(text) for path, text in values.get("folders", {}).items()},
        joins=values.get("joins", {}),
        files=files,
        programs=programs,
        config=values.get("config", {}),
    )


def key_of(source: bytes, files: tuple[OwnFile, ...]) -> str:
    """Returns a hash of the recipe's content, twelve hex digits."""
    digest = hashlib.sha256(f"{FORMAT}\0".encode())
    digest.update(hashlib.sha256(source).digest())
    for file in sorted(files, key=lambda file: file.path):
        digest.update(
            f"{file.path}\0{file.executable}\0".encode() + hashlib.sha256(file.content).digest()
        )
    return digest.hexdigest()[:12]


def _owned(text: str) -> Owned:
    mode, _, owner = text.partition(" ")
    uid, _, gid = owner.partition(":")
    return Owned(int(mode, 8), int(uid), int(gid))


def matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compiles glob patterns into one regular expression for the paths they name and every path below."""
    alternatives = [
        translate(each, recursive=True, include_hidden=True)
        for pattern in patterns
        for whole in expand(pattern)
        for each in (whole, f"{whole}/**")
    ]
    return re.compile("|".join(alternatives) or r"(?!)")


def expand(pattern: str) -> list[str]:
    """Expands braces as a shell does: `a/{b,c}` gives `a/b` and `a/c`."""
    if (found := re.search(r"\{([^{}]*)\}", pattern)) is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [each for part in found[1].split(",") for each in expand(before + part + after)]
