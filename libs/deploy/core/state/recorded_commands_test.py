"""What hosts record of commands: names by default, and no credential when arguments are asked for."""

from __future__ import annotations

import pytest

from deploy.core.state.recorded_commands import LONGEST, recorded_command
from deploy.core.state.redaction import Redaction
from deploy.core.state.secrets import Secret


def knowing(value: str) -> Redaction:
    redaction = Redaction()
    redaction.know(Secret(value))
    return redaction


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["ls"], "ls"),
        (["ps", "-e", "--forest"], "ps -e --forest"),
        (["cat", "/proc/loadavg"], "cat (1 value not recorded)"),
        (["curl", "-u", "bob:pw", "https://a/"], "curl -u (2 values not recorded)"),
        (["mysql", "-phunter2", "shop"], "mysql -p (2 values not recorded)"),
        (["psql", "postgres://app:pw@db/shop"], "psql (1 value not recorded)"),
        (["x", "--api-key=abc", "--level=2"], "x --api-key --level (2 values not recorded)"),
        (["x", "--password", "--hunter2", "-v"], "x --password -v (1 value not recorded)"),
        (["sh", "-c", "login hunter2"], "sh -c (1 value not recorded)"),
        (["kill", "-9", "1"], "kill (2 values not recorded)"),
        (["a b"], "'a b'"),
    ],
)
def test_program_and_names_of_options_are_recorded(argv: list[str], expected: str) -> None:
    assert recorded_command(argv, str) == expected


def test_known_value_in_a_name_is_not_recorded() -> None:
    redact = knowing("hunter2hunter2")
    argv = ["run-hunter2hunter2", "--hunter2hunter2"]
    assert recorded_command(argv, redact) == "'run-***' (1 value not recorded)"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["cat", "/proc/loadavg"], "cat /proc/loadavg"),
        (["sh", "-c", "echo $A | wc"], "sh -c 'echo $A | wc'"),
        (["psql", "--password", "pw", "-l"], "psql --password '***' -l"),
        (["x", "--api-key=abc", "DB_PASSWORD=p q"], "x '--api-key=***' 'DB_PASSWORD=*** q'"),
        (["sh", "-c", "TOKEN='a b' run"], "sh -c 'TOKEN=*** run'"),
        (
            ["curl", "-H", "Authorization: Bearer abc.def", "u"],
            "curl -H 'Authorization: Bearer ***' u",
        ),
        (["curl", "-u", "bob:pw", "u"], "curl -u 'bob:***' u"),
        (["curl", "-ubob:pw", "--user=a:b"], "curl '-ubob:***' '--user=a:***'"),
        (["sh", "-c", "curl -u 'bob:pw' u"], "sh -c 'curl -u '\"'\"'bob:***'\"'\"' u'"),
        (["mysql", "-phunter2", "shop"], "mysql '-p***' shop"),
        (["sh", "-c", "mysql -phunter2 shop"], "sh -c 'mysql -p*** shop'"),
        (["redis-cli", "-a", "hunter2"], "redis-cli -a '***'"),
        (["/usr/bin/mongosh", "-p", "hunter2"], "/usr/bin/mongosh -p '***'"),
        (["psql", "postgres://app:p@w@db/x"], "psql 'postgres://app:***@db/x'"),
        (["git", "clone", "https://:token@a/b"], "git clone 'https://:***@a/b'"),
        (["wget", "http://a:8080/b@c"], "wget http://a:8080/b@c"),
    ],
)
def test_what_looks_like_a_credential_is_left_out_of_a_whole_command(
    argv: list[str], expected: str
) -> None:
    assert recorded_command(argv, str, arguments=True) == expected


@pytest.mark.parametrize("value", ["it's-a-secret", 'with "quotes" in', "long\nin two lines"])
def test_known_values_in_a_command_are_redacted_before_quoting(value: str) -> None:
    redact = knowing(value)
    argv = ["sh", "-c", f"login {value}", f"--x={value}", value]
    expected = "sh -c 'login ***' '--x=***' '***'"
    assert recorded_command(argv, redact, arguments=True) == expected


def test_long_command_is_cut_off_after_redaction() -> None:
    value = "a-secret-of-some-length"
    argv = ["x" * 600, "y" * (LONGEST - 601) + value, "z" * 5_000_000]
    text = recorded_command(argv, knowing(value), arguments=True)
    assert len(text) == LONGEST
    assert value[:4] not in text
