"""The keeper and the tool on one host: one ledger whose lines seal each other, and the same names of parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from keeper.record import Effect, append
from keeper.watch import PARTS

from deploy.core.commands import locks
from deploy.core.commands.locks import (
    LEDGER,
    SEAL,
    TOKEN,
)
from deploy.core.config import Edge, Metrics
from deploy.core.stacks.definitions import exporter_stack, metrics_stack
from deploy.core.state.ledger import (
    broken_links,
    head_of,
    parse_ledger,
)
from deploy.testing import factories
from deploy.testing.local_root import LocalRoot

EFFECT = Effect(
    "2026-11-02T09:00:00+00:00", "app", "r000001-aaaaaaa", "start app-1: it had ended", 0
)


def test_both_write_one_chain(tmp_path: Path) -> None:
    machine = LocalRoot.at(tmp_path / "root")
    ledger, seal = (machine.root / Path(name).name for name in (LEDGER, SEAL))
    (machine.root / Path(TOKEN).name).write_text("mine")
    head = head_of(replace(factories.ENTRY, event="effect", what="a line of the tool's"))
    for _ in range(2):
        append(ledger, EFFECT)
        assert machine.run(locks.note("mine", head)).returncode == 0
    with ledger.open("a") as file:
        file.write('{"torn')
    append(ledger, EFFECT)
    entries = parse_ledger(ledger.read_text())
    assert [entry.who for entry in entries] == ["keeper", factories.ENTRY.who] * 2 + ["keeper"]
    assert [bool(entry.at) for entry in entries] == [False, True] * 2 + [False]
    torn = 5
    assert broken_links(ledger.read_text(), seal.read_text()) == (torn,)


def test_a_missing_end_is_found(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    for _ in range(3):
        append(ledger, EFFECT)
    text, seal = ledger.read_text(), ledger.with_name("ledger.jsonl.seal").read_text()
    assert broken_links(text, seal) == ()
    assert broken_links("".join(text.splitlines(keepends=True)[:-1]), seal) == (3,)


def test_every_container_of_a_part_has_a_name_that_the_keeper_knows() -> None:
    tls = {"cert": "", "key": "", "password": "", "password_hash": ""}
    metrics = Metrics("http://127.0.0.1:9090", "ca", "cert", "key", "password")
    stacks = (
        metrics_stack("prometheus", metrics, interval_s=15, **tls),
        exporter_stack("p", {}, Edge()),
    )
    texts = [text for stack in stacks for path, text, _ in stack.files if path == "compose.yml"]
    services = [each for text in texts for each in json.loads(text)["services"].values()]
    assert {"edge", *(each["labels"]["py-cicd.name"] for each in services)} == {*PARTS}
