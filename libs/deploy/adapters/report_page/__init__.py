"""Renders the report of a rollout as one HTML file that needs no script and no network."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from deploy.core.printable import printable
from deploy.core.reports.page import Page


def _shown(value: object) -> object:
    """Shows control characters of texts as text; markup is ours."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return printable(str(value)) if is_text else value


def render_page(page: Page) -> str:
    """Returns the HTML of a report page. All its values are escaped, except for the charts, which are SVG."""
    environment = Environment(
        loader=PackageLoader(__name__),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html").render(page=page)
