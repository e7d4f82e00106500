"""Serves styles, scripts and icons from memory, under names with a hash of their content."""

import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

from flask import Flask, Response, abort, request

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"
_IMPORT = re.compile(rb'(from\s+")\./([\w-]+\.js)(")')
_HASHED = re.compile(r"(?P<stem>[\w-]+)\.(?P<hash>[0-9a-f]{12})\.(?P<suffix>\w+)")


@dataclass(frozen=True)
class Asset:
    hashed_name: str
    content_type: str
    content: bytes
    compressed: bytes


class Assets:
    """Assets by name. Imports within scripts are rewritten to hashed names."""

    def __init__(self, sources: dict[str, bytes]) -> None:
        self._sources = sources
        self._assets: dict[str, Asset] = {}
        for name in sources:
            self._load(name)

    @classmethod
    def from_package(cls) -> "Assets":
        folder = files("app") / "static"
        return cls({entry.name: entry.read_bytes() for entry in folder.iterdir()})

    def get(self, name: str) -> Asset:
        return self._assets[name]

    def url(self, name: str) -> str:
        """Returns the hashed URL of an asset, for templates."""
        return f"/static/{self.get(name).hashed_name}"

    def find(self, hashed_name: str) -> tuple[Asset, bool] | None:
        """Returns the asset and whether its content matches the hash in the name, or None.

        During a rollout a page of one release may load its style from a replica of the other. That
        replica's style is better than none, but must not be cached under this name.
        """
        match = _HASHED.fullmatch(hashed_name)
        asset = self._assets.get(f"{match['stem']}.{match['suffix']}") if match else None
        return (asset, asset.hashed_name == hashed_name) if asset else None

    def _load(self, name: str) -> Asset:
        if name not in self._assets:
            content = _IMPORT.sub(self._hashed_import, self._sources[name])
            stem, _, suffix = name.rpartition(".")
            digest = hashlib.sha256(content).hexdigest()[:12]
            self._assets[name] = Asset(
                hashed_name=f"{stem}.{digest}.{suffix}",
                content_type=_TYPES[suffix],
                content=content,
                compressed=gzip.compress(content, mtime=0),
            )
        return self._assets[name]

    def _hashed_import(self, match: re.Match[bytes]) -> bytes:
        hashed_name = self._load(match[2].decode()).hashed_name
        return match[1] + b"./" + hashed_name.encode() + match[3]


def add_assets(app: Flask) -> None:
    assets = Assets.from_package()

    def static(name: str) -> Response:
        found = assets.find(name)
        if found is None:
            abort(404)
        asset, exact = found
        return _respond(asset, _FOREVER if exact else "no-store")

    def favicon() -> Response:
        """Browsers request this path on their own, even for a JSON document."""
        return _respond(assets.get("icon.svg"), "public, max-age=3600")

    app.add_url_rule("/static/<name>", "static", static)
    app.add_url_rule("/favicon.ico", "favicon", favicon)
    app.jinja_env.globals["asset"] = assets.url


def _respond(asset: Asset, cache_control: str) -> Response:
    response = Response(asset.content, content_type=asset.content_type)
    if request.accept_encodings["gzip"] > 0:
        response.data = asset.compressed
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = cache_control
    return response
