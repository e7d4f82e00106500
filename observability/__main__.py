"""`python3 -m observability`: writes every file that is made from code; it starts nothing."""

from __future__ import annotations

from pathlib import Path

from observability import (
    alertmanager_config,
    grafana_json,
    rules,
)
from observability.dashboard_definitions import BOARDS

HERE = Path(__file__).resolve().parent


def files() -> dict[str, str]:
    """Returns each file's text by its path below this folder."""
    return {
        "prometheus/rules.yml": rules.render(),
        "alertmanager/alertmanager.yml": alertmanager_config.render(),
        **{f"dashboards/{board.uid}.json": grafana_json.render(board) for board in BOARDS},
    }


def main() -> None:
    """Writes what differs."""
    for name, text in files().items():
        path = HERE / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"written: observability/{name}")


if __name__ == "__main__":
    main()
