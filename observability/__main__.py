"""`python3 -m observability`: generates the rule file, Alertmanager's configuration and the dashboards."""

from __future__ import annotations

from pathlib import Path

from observability import (
    alertmanager_config,
    grafana_json,
    rules,
)
from observability.dashboard_definitions import DASHBOARDS

HERE = Path(__file__).resolve().parent


def generated_files() -> dict[str, str]:
    """Returns the text of each generated file by its path relative to this folder."""
    return {
        "prometheus/rules.yml": rules.render(),
        "alertmanager/alertmanager.yml": alertmanager_config.render(),
        **{
            f"dashboards/{dashboard.uid}.json": grafana_json.render(dashboard)
            for dashboard in DASHBOARDS
        },
    }


def main() -> None:
    """Writes the files that differ and prints their names."""
    for name, text in generated_files().items():
        path = HERE / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote observability/{name}")


if __name__ == "__main__":
    main()
