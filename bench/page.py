"""Writes docs/benchmarks.md and its picture from a run, and beside it an earlier revision's if there is one.

`python3 -m bench page` does it. `python3 -m bench page RUN.json [EARLIER.json]` first takes over other runs.
"""

from __future__ import annotations

import html
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.figures import FIGURES, Figure
from bench.results import Bar, Run, ratio

ROOT = next(folder for folder in Path(__file__).parents if (folder / "services").is_dir())
RUN, EARLIER = "bench/runs/run.json", "bench/runs/earlier.json"
PAGE, PICTURE = "docs/benchmarks.md", "docs/img/benchmarks.svg"

WIDTH, LEFT, ROW, TOP = 1100, 330, 18, 34
WORK, WAIT, INK, FAINT = "#4477aa", "#dddddd", "#222222", "#999999"

INTRODUCTION = """\
# Benchmarks

<!-- Written by `python3 -m bench page` from bench/runs; a test compares them. -->

`make bench` builds and deploys the app of this repository in two ways on one sandbox, measures both in one run, and
prints the table below. *Plain Compose* is the demo that this project began as: a Dockerfile with pip, `docker push`,
`docker compose up -d --scale app=5`, and nginx with one upstream. It tests nothing and has no health check. Trust the
ratios: the absolute values follow from the machine and from what else it does.

"""

NOTES = """\
The *waits that settings ask for* are `min_healthy_s`, the gate's trials and `watch_s` of services/app/service.toml; the
rows around them leave these out. Memory is what `docker stats` counts. The CPU of a replica includes its health check,
and the CPU of the whole host also what the engine spends on starting that.

Of a request's CPU, nginx takes the small part, and telemetry an even smaller one: the rest is gunicorn's and Flask's.

The base of both images is this project's, because no registry can be reached from the machine that measured; with
`python:3.13-slim` (192 MB unpacked) as its base the plain image would be larger by the difference.

Not in this run, because each takes minutes: `./ship up` and `./ship test` print their own times at the end. How often a
deploy asks its hosts and the registry is bounded by `./pants test libs/deploy/run/rollout/round_trips_test.py`. Kamal
isn't in the table, because it can't be installed from what the machine reaches.
"""


def render_page(run: Run, earlier: Run | None) -> str:
    """Returns the text of docs/benchmarks.md."""
    text = INTRODUCTION + f"Revision `{run.revision}`"
    text += f", and `{earlier.revision}` as *earlier*.\n\n" if earlier else ".\n\n"
    columns = ["what", "plain Compose", *(["earlier"] if earlier else []), "this project"]
    columns += ["ratio", "aim", "reached"]
    text += f"| {' | '.join(columns)} |\n|---|{'--:|' * (len(columns) - 2)}---|\n"
    text += "".join(_row(figure, run, earlier) for figure in FIGURES)
    text += f"\nThe machine: {_machine(run)}."
    text += f" The earlier run's: {_machine(earlier)}.\n" if earlier else "\n"
    text += f"\n{NOTES}\n## A deploy, step by step\n\n"
    text += "Five replicas under 50 requests a second; grey is time that settings ask for.\n\n"
    return text + "![The steps of a deploy](img/benchmarks.svg)\n"


def _row(figure: Figure, run: Run, earlier: Run | None) -> str:
    plain, value = run.plain.get(figure.key), run.project.get(figure.key)
    if value is None:
        return ""
    cells = [figure.name.strip(), "" if plain is None else figure.text(plain)]
    if earlier:
        before = earlier.project.get(figure.key)
        cells.append("" if before is None else figure.text(before))
    cells += [
        figure.text(value),
        "" if plain is None else ratio(value, plain),
        figure.reach_text,
        {True: "yes", False: "**no**", None: ""}[figure.reached(value, plain)],
    ]
    return f"| {' | '.join(cells)} |\n"


def _machine(run: Run) -> str:
    return ", ".join(f"{name} {value}" for name, value in run.machine.items())


def draw(run: Run, earlier: Run | None) -> str:
    """Returns the picture as an SVG: the steps of the run's deploy below the earlier one's, on one scale."""
    runs = [(f"earlier ({earlier.revision})", earlier)] if earlier else []
    runs.append((run.revision, run))
    end_s = max(bar.begun_s + bar.seconds for _, each in runs for bar in each.deploy)
    scale = (WIDTH - LEFT - 60) / end_s
    parts, y = [], 0
    for title, each in runs:
        parts.append(f'<text x="10" y="{y + 22}" font-weight="bold">{html.escape(title)}</text>')
        y += TOP
        for bar in each.deploy:
            parts.append(_bar(bar, y, scale))
            y += ROW
        y += ROW
    lines = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">\n'
        f'<rect width="{WIDTH}" height="{y}" fill="white"/>\n{lines}\n</svg>\n'
    )


def _bar(bar: Bar, y: int, scale: float) -> str:
    left, width = LEFT + bar.begun_s * scale, max(bar.seconds * scale, 1.0)
    name = bar.name.partition(": ")[2] or bar.name
    name = name if len(name) <= 46 else f"{name[:44]}..."
    return (
        f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{html.escape(name)}</text>'
        f'<rect x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 5}" '
        f'fill="{WAIT if bar.wait else WORK}"/>'
        f'<text x="{left + width + 4:.1f}" y="{y + 13}" fill="{FAINT}">{bar.seconds:.2f} s</text>'
    )


def read_runs(root: Path = ROOT) -> tuple[Run, Run | None]:
    """Returns the runs that the page shows. Raises OSError without one."""
    earlier = root / EARLIER
    run = Run.parse((root / RUN).read_text())
    return run, Run.parse(earlier.read_text()) if earlier.exists() else None


def main(files: Sequence[str] | None = None) -> int:
    """Takes over the runs in `files`, if there are any, and writes the page and the picture."""
    given = sys.argv[1:] if files is None else files
    for source, name in zip(given, (RUN, EARLIER), strict=False):
        (ROOT / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source, ROOT / name)
    run, earlier = read_runs()
    (ROOT / PAGE).write_text(render_page(run, earlier))
    (ROOT / PICTURE).write_text(draw(run, earlier))
    return 0


if __name__ == "__main__":
    sys.exit(main())
