"""Generates mutations of rules (threshold, window, selector, duration) that the rule tests must catch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from observability.rules import AlertRule, Rule, seconds

_NUMBER = re.compile(r"(?<![\w.\"\[])(\d+(?:\.\d+)?)(?![\w.\"\]])")
_WINDOW = re.compile(r"\[(\d+[smhd])\]")
_NAMED_WINDOW = re.compile(r"(?<=rate)(\d+[mhd])\b")
_SELECTOR = re.compile(r"\{([^{}]*)\}")
_LARGEST_COUNT = 10


@dataclass(frozen=True)
class Mutation:
    """A rule with one change, and a description of it."""

    rule: Rule
    change: str


def mutations(rule: Rule) -> Iterator[Mutation]:
    """Yields all mutations of a rule."""
    for expr, change in _expressions(rule.expr):
        yield Mutation(replace(rule, expr=expr), change)
    if isinstance(rule, AlertRule) and rule.pending_for != "0s":
        for factor in (0.5, 2):
            pending_for = f"{int(seconds(rule.pending_for) * factor)}s"
            changed = replace(rule, pending_for=pending_for)
            yield Mutation(changed, f"for {rule.pending_for} -> {pending_for}")


def _expressions(expr: str) -> Iterator[tuple[str, str]]:
    for match in _NUMBER.finditer(_without_selectors(expr)):
        for other in _other_numbers(match[1]):
            yield _replace_span(expr, match.span(1), other), f"{match[1]} -> {other}"
    for match in _WINDOW.finditer(expr):
        length = int(seconds(match[1]))
        for other in (f"[{length // 2}s]", f"[{length * 2}s]"):
            yield _replace_span(expr, match.span(), other), f"{match[0]} -> {other}"
    for match in _NAMED_WINDOW.finditer(expr):
        other = "30m" if match[1] != "30m" else "1d"
        yield _replace_span(expr, match.span(1), other), f"rate{match[1]} -> rate{other}"
    for match in _SELECTOR.finditer(expr):
        for other in _other_selectors(match[1]):
            yield _replace_span(expr, match.span(1), other), f"{{{match[1]}}} -> {{{other}}}"


def _other_numbers(text: str) -> tuple[str, ...]:
    """Returns one more and one less for a small integer, 125 % and 80 % of any other number."""
    if "." not in text and int(text) <= _LARGEST_COUNT:
        return (str(int(text) + 1), str(int(text) - 1))
    return (f"{float(text) * 1.25:.10g}", f"{float(text) * 0.8:.10g}")


def _other_selectors(text: str) -> Iterator[str]:
    matchers = re.findall(r'\w+(?:=~|!=|!~|=)"[^"]*"', text)
    for number, matcher in enumerate(matchers):
        others = [*matchers[:number], *matchers[number + 1 :]]
        yield ",".join(others)
        label, operator, value = re.fullmatch(r'(\w+)(=~|!=|!~|=)"(.*)"', matcher).groups()  # type: ignore[union-attr]
        yield ",".join([*others, f'{label}{operator}"something-else"'])
        for alternative in value.split("|") if operator == "=~" else ():
            remaining = "|".join(each for each in value.split("|") if each != alternative)
            yield ",".join([*others, f'{label}=~"{remaining}"'])


def _without_selectors(expr: str) -> str:
    """Returns `expr` with selectors and windows replaced by blanks of the same length.

    All digits that remain belong to numbers.
    """
    return re.sub(r"\{[^{}]*\}|\[[^\]]*\]", lambda match: " " * len(match[0]), expr)


def _replace_span(text: str, span: tuple[int, int], other: str) -> str:
    return text[: span[0]] + other + text[span[1] :]
