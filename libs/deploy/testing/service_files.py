"""Makes service files as people and attackers might write them, for property tests of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from deploy.core.state.release import MOST_REPLICAS
from deploy.core.toml_text import write_key, write_value

type Document = dict[str, Any]

_SECONDS = st.sampled_from(
    [
        -1,
        0,
        1e-300,
        1e-9,
        1e-5,
        0.001,
        0.0012345,
        0.1,
        0.5,
        10,
        29.99999,
        3600,
        86399.99999,
        86400,
        1e6,
        1e10,
        1e300,
    ]
) | st.floats(0, 1e5)
_COUNT = st.sampled_from([-1, 0, 1, 2, 63, 64, 1000, 2**31, 2**63, 2**64]) | st.integers(1, 200)
_SHARE = st.floats(0, 1) | st.sampled_from([-0.1, 1.1, 1e-300])
_MEMORY = (
    st.from_regex(r"\A[1-9][0-9]{1,2}[mg]\Z")
    | st.from_regex(r"\A[0-9]{1,22}[kmgbt]?\Z")
    | st.sampled_from(["6m", "5m", "6143k", "6144k", "16384g", "16385g", "256M", "1.5g", "-1m"])
)
_CHARACTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from(
    "\0\t\n\r\x1b\x7f\x85\u2028\ufeff\ufffe😀$\"'\\{};#"
)
_TEXT = st.text("abc XYZ_01=:/.$\"'\\{}😀é", max_size=20) | st.text(_CHARACTERS, max_size=8)
_SEGMENT = st.text("abcXYZ019._~-", min_size=1, max_size=12) | st.sampled_from(
    [".", "..", "-", "", "~", "*", "a b", ";", "{", "$a", "é", "x" * 250]
)
_PATH = st.lists(_SEGMENT, max_size=4).map(lambda parts: "/" + "/".join(parts))
_LABEL = st.text("abc019-", min_size=1, max_size=8) | st.sampled_from(
    ["a" * 63, "a" * 64, "-a", "a-", "", "_", "*", "1", "xn--bcher-kva"]
)
_HOST = st.lists(_LABEL, min_size=1, max_size=5).map(".".join)
_VARIABLE = st.from_regex(r"\A[A-Z_][A-Z0-9_]{0,12}\Z") | st.sampled_from(
    ["IMAGE", "PORT", "LD_PRELOAD", "PATH", "COMPOSE_FILE", "a b", "", "1A", "A=B", "A\0", "é"]
)
_WORDS = st.lists(_TEXT, max_size=3)

_SETTINGS: Mapping[tuple[str, ...], st.SearchStrategy[Any]] = {
    ("replicas",): st.integers(1, 2) | st.sampled_from([0, MOST_REPLICAS + 1, 2**64]),
    ("memory",): _MEMORY,
    ("port",): st.integers(-1, 65537),
    ("metrics_port",): st.integers(-1, 65537),
    ("source",): _TEXT.map(lambda text: f"https://example.org/{text}"),
    ("route", "path"): _PATH,
    ("route", "host"): _HOST,
    ("health", "path"): _PATH,
    ("health", "interval_s"): _SECONDS,
    ("health", "successes"): _COUNT,
    ("health", "min_healthy_s"): _SECONDS,
    ("health", "startup_deadline_s"): _SECONDS,
    ("health", "healthy_deadline_s"): _SECONDS,
    ("health", "drain_s"): _SECONDS,
    ("rollout", "hold_s"): _SECONDS,
    ("rollout", "max_error_share"): _SHARE,
    ("gate", "paths"): st.lists(_PATH, max_size=2),
    ("tasks", "before_switch", "command"): _WORDS,
    ("env",): st.dictionaries(_VARIABLE, _TEXT, max_size=3),
}


@st.composite
def service_files(draw: st.DrawFn) -> Document:
    """Draws the settings of a service, without its name: a few keys, each with any kind of value.

    Only few, so that a good part of the files is accepted.
    """
    document: Document = {}
    for path in draw(st.lists(st.sampled_from(sorted(_SETTINGS)), max_size=4, unique=True)):
        table = document
        for key in path[:-1]:
            table = table.setdefault(key, {})
        table[path[-1]] = draw(_SETTINGS[path])
    return document


def to_toml(document: Mapping[str, Any]) -> str:
    """Returns a document as TOML."""
    return "".join(f"{write_key(key)} = {write_value(value)}\n" for key, value in document.items())
