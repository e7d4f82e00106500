"""Describes what is wrong in a configuration file: each problem with its path, and the page that explains it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from deploy.adapters.config.schema import Form, ServiceForm

SERVICE_PAGE = "docs/service-toml.md"
ENVIRONMENT_PAGE = "docs/environment-files.md"
_PAGES = {"ServiceForm": SERVICE_PAGE, "EnvironmentForm": ENVIRONMENT_PAGE}

ELSEWHERE: Mapping[str, str] = {
    "autoscale": "the number of replicas is fixed: `replicas`, or ./ship scale SERVICE=N",
    "build": "the Dockerfile and the BUILD file beside it say how the image is built; `image` names its target",
    "command": "the image's ENTRYPOINT is what a replica runs",
    "cpus": "replicas share the host's processors; there is no such feature",
    "dockerfile": "the Dockerfile beside this file is the image's; `image` names its target",
    "domain": "`host` in [route] is the host name (docs/service-toml.md#route)",
    "env_file": "write variables into [env], and secrets into [secrets] (docs/secrets.md)",
    "environment": "variables stand in [env] (docs/service-toml.md#top-level)",
    "healthcheck": "[health] describes it (docs/service-toml.md#health)",
    "hooks": "[tasks.before_switch] and [tasks.after_switch] are run once by each deploy (docs/service-toml.md#tasks)",
    "hostname": "`host` in [route] is the host name (docs/service-toml.md#route)",
    "migrate": "[tasks.before_switch] runs a migration (docs/service-toml.md#tasksbefore_switch)",
    "ports": "`port` is where the application listens; only the edge is reachable from outside",
    "scale": "`replicas` is the number on each host (docs/service-toml.md#top-level)",
    "servers": "hosts stand in the environment file (docs/environment-files.md#hosts)",
    "timeout": "limits are in [health], [tasks] and [rollout], each in seconds (docs/service-toml.md)",
    "volumes": "replicas are read-only but for /tmp, and keep nothing; there is no such feature",
}
"""What people look for under the names of other tools, and where it is here."""


def parse[F: Form](document: Mapping[str, Any], form: type[F]) -> tuple[F | None, list[str]]:
    """Returns the filled form, or None and every problem with its path (`hosts[1].port: ...`)."""
    try:
        return form.model_validate(document), []
    except ValidationError as error:
        return None, [_described(details, form) for details in error.errors()]


def anchor(tables: Sequence[str]) -> str:
    """Returns the anchor of a table's heading on a page, such as gateconditions for [[gate.conditions]]."""
    return "".join(tables).lower() or "top-level"


def _overrides(form: type[Form], path: tuple[int | str, ...]) -> bool:
    """Returns whether the key overrides one of a service's own file."""
    return form.__name__ == "EnvironmentForm" and path[:1] == ("services",)


def _tables(form: type[Form], path: tuple[int | str, ...]) -> list[str]:
    """Returns the tables that contain the key at `path`, as the page that explains them names them."""
    tables = [str(part) for part in path[:-1] if not isinstance(part, int)]
    return tables[2:] if _overrides(form, path) else tables


def _explained(form: type[Form], path: tuple[int | str, ...]) -> str:
    """Returns where the keys of the table at `path` are explained, "" if no page does."""
    page = SERVICE_PAGE if _overrides(form, path) else _PAGES.get(form.__name__)
    tables = _tables(form, path)
    if page is None:
        return ""
    if tables[:1] == ["secrets"] and page == SERVICE_PAGE and len(tables) > 1:
        tables[1] = "NAME"
    return f"{page}#{anchor(tables)}"


def _unknown_key(form: type[Form], path: tuple[int | str, ...]) -> str:
    name, known, page = str(path[-1]), _keys_at(form, path), _explained(form, path)
    at_top = not _tables(form, path)
    if at_top and _overrides(form, path) and name in ServiceForm.model_fields:
        return f"stands in services/{path[1]}/service.toml and is the same in all environments"
    if at_top and name in ELSEWHERE:
        return f"unknown key: {ELSEWHERE[name]}"
    if close := get_close_matches(name, known, n=1):
        return f"unknown key; did you mean {close[0]}?{f' ({page})' if page else ''}"
    if name in ELSEWHERE:
        return f"unknown key: {ELSEWHERE[name]}"
    there = f" ({page})" if page else ""
    return f"unknown key, and there is no such feature; known are {', '.join(sorted(known))}{there}"


def unknown(name: str, known: Collection[str], kind: str) -> str:
    """Returns a problem text for an unknown name, with the most similar known name."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f"unknown {kind}; did you mean {close[0]}?"
    return f"unknown {kind}; known are {', '.join(sorted(known))}"


def _described(error: ErrorDetails, form: type[Form]) -> str:
    path, context = error["loc"], error.get("ctx", {})
    match error["type"]:
        case "missing":
            what = "is missing"
        case "extra_forbidden":
            what = _unknown_key(form, path)
        case "int_type" | "int_from_float":
            what = "should be an integer"
        case "float_type":
            what = "should be a number"
        case "finite_number":
            what = "should be a finite number"
        case "string_type":
            what = "should be text in quotes"
        case "bool_type":
            what = "should be true or false"
        case "list_type":
            what = "should be a list of tables, as in [[hosts]]"
        case "too_short":
            what = "should list at least one"
        case "dict_type" | "model_type":
            what = "should be a table"
        case "greater_than":
            what = f"should be more than {context['gt']:g}"
        case "greater_than_equal":
            what = f"should be at least {context['ge']:g}"
        case "less_than_equal":
            what = f"should be at most {context['le']:g}"
        case _:
            what = error["msg"]
    return f"{_dotted(path)}: {what}"


def _dotted(path: Iterable[int | str]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(part for part in parts if part != ".[key]").removeprefix(".")


def _keys_at(form: type[Form], path: tuple[int | str, ...]) -> list[str]:
    """Returns the known keys of the table that contains the key at `path`."""
    for part in path[:-1]:
        if part in form.model_fields:  # else an index, or a name in a table of tables
            form = next(_forms_in(form.model_fields[str(part)].annotation), form)
    return list(form.model_fields)


def _forms_in(annotation: object) -> Iterator[type[Form]]:
    if isinstance(annotation, type) and issubclass(annotation, Form):
        yield annotation
    for inner in get_args(annotation):
        yield from _forms_in(inner)
