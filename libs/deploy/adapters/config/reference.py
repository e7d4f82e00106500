"""Generates the references of configuration files from their schema: pages for people, JSON Schema for editors.

The text of a key stands below it in `schema`; defaults come from the values of `core.config`.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, get_args, get_origin

from pydantic import AfterValidator
from pydantic.fields import FieldInfo

from deploy.adapters.config import schema
from deploy.adapters.config.problems import SERVICE_PAGE
from deploy.adapters.config.schema import EnvironmentForm, Form, OverrideForm, ServiceForm
from deploy.adapters.config.value_types import Rule
from deploy.core import config
from deploy.core.toml_text import write_value

_VALUES: Mapping[type[Form], type] = {
    schema.RouteForm: config.Route,
    schema.HealthForm: config.Health,
    schema.RolloutForm: config.Rollout,
    schema.ConditionForm: config.Condition,
    schema.GateForm: config.Gate,
    schema.TaskForm: config.Task,
    schema.TasksForm: config.Tasks,
    schema.SecretForm: config.SecretRef,
    schema.OverrideForm: config.Service,
    schema.ServiceForm: config.Service,
    schema.RegistryForm: config.RegistryConfig,
    schema.SecretStoresForm: config.SecretStoreConfig,
    schema.EdgeForm: config.Edge,
    schema.MetricsForm: config.Metrics,
    schema.HostForm: config.HostConfig,
    schema.EnvironmentForm: config.Environment,
}
"""The value that each form fills, which has the defaults."""

REFUSALS = ("left out: ", "another name: ")
"""Rules about single values, which the text of the key mentions."""

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_WORDS = {str: "text", int: "an integer", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Key:
    """One key of a form. `text` explains it; `default` and `example` are TOML, None for none."""

    name: str
    annotation: Any
    metadata: Sequence[Any]
    required: bool
    text: str
    default: str | None
    example: str | None

    @property
    def form(self) -> type[Form] | None:
        """The form of the table, or of the tables, that the key holds."""
        found = [self.annotation, *get_args(self.annotation)]
        return next(
            (each for each in found if isinstance(each, type) and issubclass(each, Form)), None
        )


def keys_of(form: type[Form]) -> list[Key]:
    """Returns the keys of a form in the order of the schema, the required ones first."""
    documented = _documented(form)
    keys = [
        _key(name, info, documented.get(name, ""), _default(form, name))
        for name, info in form.model_fields.items()
    ]
    return sorted(keys, key=lambda key: not key.required)


def _key(name: str, info: FieldInfo, text: str, default: str | None) -> Key:
    text, _, example = text.partition(" Example: ")
    text, _, computed = text.partition(" Default: ")
    return Key(
        name,
        info.annotation,
        info.metadata,
        info.is_required(),
        text.strip(),
        computed.strip().rstrip(".") or (f"`{default}`" if default else None),
        example.strip() or None,
    )


def _documented(form: type[Form]) -> dict[str, str]:
    """Returns the text below each key in the source of the form and of the forms that it extends."""
    found: dict[str, str] = {}
    for each in form.__mro__:
        if not issubclass(each, Form) or each is Form:
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(definition, ast.ClassDef)
        for key, text in zip(definition.body, definition.body[1:], strict=False):
            match key, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(value))):
                    found.setdefault(name, " ".join(value.split()))
                case _:
                    pass
    return found


def _default(form: type[Form], name: str) -> str | None:
    values = {field.name: field.default for field in fields(_VALUES[form])}
    value = values.get(name, MISSING)
    return None if value in (MISSING, None, "", ()) else write_value(value)


# Pages.


def service_page() -> str:
    """Returns docs/service-toml.md."""
    fixed = [
        f"`{name}`" for name in ServiceForm.model_fields if name not in OverrideForm.model_fields
    ]
    head = (
        "# service.toml\n\n"
        "<!-- Generated from libs/deploy/adapters/config/schema.py by `make docs`; a test compares it. -->\n\n"
        "The settings of a service, in its folder `services/NAME`. Times are in seconds. An environment file can\n"
        f"override every key but {', '.join(fixed[:-1])} and {fixed[-1]}, in `[services.NAME]`\n"
        "([environment-files.md](environment-files.md)). `./ship config show SERVICE --env NAME` prints what the\n"
        "files come to, and from which file each value is. Editors check and complete the file with\n"
        "[schemas/service.schema.json](schemas/service.schema.json): the first line is `#:schema` and its path.\n"
    )
    return head + "".join(_sections(ServiceForm, ()))


def environment_page() -> str:
    """Returns docs/environment-files.md."""
    head = (
        "# Environment files\n\n"
        "<!-- Generated from libs/deploy/adapters/config/schema.py by `make docs`; a test compares it. -->\n\n"
        "An environment is a file in `deploy/environments`: its hosts, its registry, and what differs there from\n"
        "the services' own files. `deploy/environments/production.toml` is an example to copy. Editors check and\n"
        "complete the file with [schemas/environment.schema.json](schemas/environment.schema.json).\n"
    )
    return head + "".join(_sections(EnvironmentForm, ()))


def _sections(form: type[Form], tables: tuple[str, ...]) -> Iterator[str]:
    keys = keys_of(form)
    rows = [key for key in keys if key.form is None]
    yield f"\n## {_heading(tables)}\n\n{_prose(form)}\n"
    if rows:
        yield "\n| key | what it is | values | default | example |\n|---|---|---|---|---|\n"
        yield from (_row(key) for key in rows)
    for key in keys:
        if key.form is OverrideForm:
            page = SERVICE_PAGE.removeprefix("docs/")
            yield f"\n## [services.NAME]\n\n{key.text} The keys are those of [service.toml]({page}).\n"
            yield '\n```toml\n[services.shop]\nreplicas = 5\n\n[services.shop.env]\nLOG_LEVEL = "info"\n```\n'
        elif key.form is not None:
            name = f"{key.name}.NAME" if get_origin(key.annotation) is dict else key.name
            mark = "[]" if get_origin(key.annotation) is list else ""
            yield from _sections(key.form, (*tables, *name.split("."), *([mark] if mark else [])))


def _heading(tables: tuple[str, ...]) -> str:
    if not tables:
        return "Top level"
    if tables[-1] == "[]":
        return f"[[{'.'.join(tables[:-1])}]]"
    return f"[{'.'.join(tables)}]"


def _prose(form: type[Form]) -> str:
    return " ".join((form.__doc__ or "").split())


def _row(key: Key) -> str:
    default = "required" if key.required else key.default or "none"
    example = f"`{key.name} = {key.example}`" if key.example else ""
    cells = (f"`{key.name}`", key.text, values_of(key.annotation, key.metadata), default, example)
    return f"| {' | '.join(cell.replace('|', '\\|') for cell in cells)} |\n"


def values_of(annotation: Any, metadata: Sequence[Any]) -> str:
    """Returns which values an annotation allows, in words."""
    base, rules = _unpacked(annotation, metadata)
    low, high = _limit(rules, "ge"), _limit(rules, "le")
    match get_origin(base), low, high:
        case None, None, None:
            words = [rule.func.be for rule in rules if _is_rule(rule)]
            shown = [word for word in dict.fromkeys(words) if not word.startswith(REFUSALS)]
            return "; ".join(shown) or _WORDS[base]
        case None, low, None:
            return f"{_WORDS[base]} from {low:,}"
        case None, low, high:
            return f"{_WORDS[base]} from {_plain(low)} to {_plain(high)}"
        case origin, _, _ if origin is list:
            return f"a list: {values_of(get_args(base)[0], ())}"
        case _:
            names, texts = (values_of(each, ()) for each in get_args(base))
            return f"a table; names: {names}; values: {texts}"


def _limit(rules: Sequence[Any], name: str) -> Any:
    """Returns a limit of annotated_types, by the name of its attribute."""
    return next((getattr(rule, name) for rule in rules if hasattr(rule, name)), None)


def _plain(number: Any) -> str:
    return f"{number:g}" if abs(number) < 1e6 else f"{number:.0f}"


def _is_rule(validator: object) -> bool:
    return isinstance(validator, AfterValidator) and isinstance(validator.func, Rule)


def _unpacked(annotation: Any, metadata: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Returns the plain type, and all validators and limits of it."""
    base = annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation
    found = [*getattr(annotation, "__metadata__", ()), *metadata]
    flat = [
        rule
        for each in found
        for rule in (each.metadata if isinstance(each, FieldInfo) else [each])
    ]
    return base, flat


# JSON Schema.


def json_schema(form: type[Form], title: str) -> str:
    """Returns the JSON Schema of a file, for editors."""
    head = {"$schema": "https://json-schema.org/draft-07/schema#", "title": title}
    return json.dumps({**head, **_table(form)}, indent=2) + "\n"


def _table(form: type[Form]) -> dict[str, Any]:
    keys = keys_of(form)
    return {
        "type": "object",
        "description": _prose(form),
        "properties": {key.name: _property(key) for key in keys},
        "required": [key.name for key in keys if key.required],
        "additionalProperties": False,
    }


def _property(key: Key) -> dict[str, Any]:
    default = f" Default: {key.default.strip('`')}." if key.default else ""
    return {**_value(key.annotation, key.metadata), "description": f"{key.text}{default}"}


def _value(annotation: Any, metadata: Sequence[Any]) -> dict[str, Any]:
    base, rules = _unpacked(annotation, metadata)
    if isinstance(base, type) and issubclass(base, Form):
        return _table(base)
    if get_origin(base) is list:
        least = _limit(rules, "min_length") or 0
        return {"type": "array", "items": _value(get_args(base)[0], ()), "minItems": least}
    if get_origin(base) is dict:
        names, values = get_args(base)
        named = {key: value for key, value in _value(names, ()).items() if key != "type"}
        return {
            "type": "object",
            "propertyNames": named,
            "additionalProperties": _value(values, ()),
        }
    limits = {"minimum": _limit(rules, "ge"), "maximum": _limit(rules, "le")}
    found: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    patterns = [rule.func.pattern for rule in rules if _is_rule(rule) and rule.func.pattern]
    if patterns:
        found["allOf"] = [{"pattern": f"^(?:{pattern})$"} for pattern in patterns]
    return {"type": _TYPES[base], **found}
