"""The values of secrets for one call of the tool: asked for once, given to hosts over stdin; never kept anywhere else.

Versions of values whose store has none are digests with a key that lies on the hosts, beside the values themselves:
whoever can read the key can read what it protects.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from deploy.core.commands import paths, secret_files
from deploy.core.commands.files import tar_of
from deploy.core.config import SecretRef
from deploy.core.ports import Host, SecretStore
from deploy.core.state.redaction import Redaction
from deploy.core.state.release import Release
from deploy.core.state.secrets import (
    Found,
    Missing,
    Pinned,
    Secret,
    field_of,
    version_of,
)
from deploy.errors import CommandError, MissingSecretsError, SecretStoreError
from deploy.run.hosts.locked_host import LockedHost, last_line


class SecretResolver:
    """Stores by name, and what was found in them. `redact` takes every value that it found out of a text."""

    def __init__(
        self, stores: Mapping[str, SecretStore] | None = None, redaction: Redaction | None = None
    ) -> None:
        self._stores = stores or {}
        self.redact = redaction or Redaction()
        self._held: dict[tuple[str, str], Found | Missing] = {}
        self._key: Secret | None = None

    def find(self, owner: str, named: Mapping[str, SecretRef]) -> dict[str, Found]:
        """Returns today's value of each. Raises MissingSecretsError with all that `owner` lacks."""
        self._fetch(named.values())
        found: dict[str, Found] = {}
        problems: list[str] = []
        for name, ref in named.items():
            held = self._one(ref)
            if isinstance(held, Found):
                found[name] = held
            else:
                problems.append(f"{owner}.secrets.{name}: {ref.store} {ref.key} {held.reason}")
        if problems:
            count = "a secret is" if len(problems) == 1 else f"{len(problems)} secrets are"
            raise MissingSecretsError(
                f"{count} missing for {owner}; nothing was touched",
                problems=tuple(problems),
                hint="put the value where the service names it, then run this again",
            )
        return found

    def learn(self, owner: str, named: Mapping[str, SecretRef]) -> str:
        """Asks for the values, so that `redact` knows them. Returns why some can't be known, "" where all are."""
        try:
            self.find(owner, named)
        except MissingSecretsError as error:
            return "; ".join(error.problems)
        except SecretStoreError as error:
            return error.message
        return ""

    def pin(
        self, owner: str, named: Mapping[str, SecretRef], hosts: Sequence[Host]
    ) -> tuple[Pinned, ...]:
        """Returns the secrets that a new release names, with today's versions."""
        found = self.find(owner, named)
        key = Secret("")
        if any(not each.version for each in found.values()):
            key = self._key = self._key or _key_of(hosts)
        return tuple(
            Pinned(
                name, ref.store, ref.key, ref.field, ref.into, version_of(name, found[name], key)
            )
            for name, ref in sorted(named.items())
        )

    def require(self, release: Release) -> dict[str, Secret]:
        """Returns today's values of what a release's record names. Raises MissingSecretsError."""
        refs = {pin.name: pin.ref for pin in release.secrets}
        found = self.find(f"{release.service} {release.id}", refs)
        return {name: each.value for name, each in found.items()}

    def deliver(self, held: LockedHost, release: Release) -> None:
        """Writes today's values into the release's folder on a host, for its replicas alone."""
        done = held.host.run(secret_files.group())
        if done.code != 0:
            raise CommandError(f"{held.name}: its user has no group: {last_line(done)}")
        files = secret_files.render_secret_files(
            release.secrets,
            self.require(release),
            group=done.stdout.strip(),
            salt=secrets.token_hex(16),
        )
        key = (("key", self._key.reveal(), 0o600),) if self._key else ()
        held.run_checked(
            secret_files.place_secrets(paths.release_folder(release.service, release.id)),
            "writing secrets",
            stdin=tar_of((*key, *files)),
        )

    def _one(self, ref: SecretRef) -> Found | Missing:
        held = self._held.get((ref.store, ref.key), Missing("is in a store that nobody knows"))
        if isinstance(held, Missing):
            return held
        stack = field_of(held, ref.field)
        if isinstance(stack, Missing):
            return stack
        self.redact.know(stack.value)
        return Missing("holds a NUL character") if "\0" in stack.value.reveal() else stack

    def _fetch(self, refs: Iterable[SecretRef]) -> None:
        wanted: dict[str, list[str]] = {}
        for ref in refs:
            if (ref.store, ref.key) not in self._held:
                wanted.setdefault(ref.store, []).append(ref.key)
        for name, keys in wanted.items():
            if (store := self._stores.get(name)) is None:
                continue
            for key, held in store.fetch(dict.fromkeys(keys)).items():
                if isinstance(held, Found):
                    self.redact.know(held.value)
                self._held[name, key] = held


def _key_of(hosts: Sequence[Host]) -> Secret:
    """Returns the key that the hosts share, a new one where none has any.

    Where they differ, as after a host came from elsewhere, all take the same one of them at the next release.
    """
    with ThreadPoolExecutor(max_workers=16) as pool:
        read = pool.map(lambda host: host.read(secret_files.KEY), hosts)
        keys = {text.decode() for text in read if text}
    chosen = min(keys, key=lambda key: hashlib.sha256(key.encode()).digest(), default="")
    return Secret(chosen or secrets.token_hex(32))
