"""The values of a run: the table on the terminal, and the JSON file that docs/benchmarks.md is made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.figures import FIGURES


@dataclass(frozen=True)
class Bar:
    """A step of a deploy in the flame chart. Times are seconds since the command began."""

    name: str
    step: str
    begun_s: float
    seconds: float
    wait: bool = False
    """Whether a setting asks for this time."""


@dataclass(frozen=True)
class Run:
    """One run of the benchmark: values by the keys of `FIGURES`, what failed, and a deploy step by step."""

    revision: str
    date: str
    machine: Mapping[str, str]
    project: Mapping[str, float]
    plain: Mapping[str, float]
    failed: Mapping[str, str] = field(default_factory=dict)
    """Measurements that failed, by name, with the reason."""
    deploy: Sequence[Bar] = ()

    def dump(self) -> str:
        """Returns the run as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def parse(cls, text: str) -> Run:
        """Reads what `dump` wrote. Raises KeyError or ValueError if the text is something else."""
        document: dict[str, Any] = json.loads(text)
        return cls(**{**document, "deploy": tuple(Bar(**bar) for bar in document["deploy"])})


def rows(run: Run) -> Sequence[tuple[str, ...]]:
    """Returns the table: name, this project, plain Compose, ratio, what to reach, whether it is reached."""
    table = []
    for figure in FIGURES:
        project, plain = run.project.get(figure.key), run.plain.get(figure.key)
        if project is None:
            continue
        reached = figure.reached(project, plain)
        table.append(
            (
                figure.name,
                figure.text(project),
                "" if plain is None else figure.text(plain),
                "" if plain is None else ratio(project, plain),
                figure.reach_text,
                {True: "yes", False: "no", None: ""}[reached],
            )
        )
    return table


HEADER = ("", "this project", "plain Compose", "ratio", "reach", "reached")


def render(run: Run) -> str:
    """Returns the table as text, with the machine below it."""
    lines = [HEADER, *rows(run)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    text = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    text += ["", ", ".join(f"{name} {value}" for name, value in run.machine.items())]
    text += [f"not measured: {name}: {reason}" for name, reason in run.failed.items()]
    return "\n".join(text)


def ratio(project: float, plain: float) -> str:
    """Returns `project` divided by `plain`, "-" if `plain` is 0."""
    return f"{project / plain:.2f}" if plain else "-"
