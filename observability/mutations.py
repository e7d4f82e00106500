"""Every rule that is wrong in one place: a threshold, a window, a selector or a time; the tests must notice each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from observability.rules import Alert, Rule

_NUMBER = re.compile(r"(?<![\w.\"\[])(\d+(?:\.\d+)?)(?![\w.\"\]])")
_WINDOW = re.compile(r"\[(\d+)([smhd])\]")
_NAMED_WINDOW = re.compile(r"(?<=rate)(\d+[mhd])\b")
_SELECTOR = re.compile(r"\{([^{}]*)\}")
_SMALL = 10
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Mutant:
    """A rule with one thing changed, and what that is."""

    rule: Rule
    change: str


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Yields every mutant of a rule."""
    for expr, change in _expressions(rule.expr):
        yield Mutant(replace(rule, expr=expr), change)
    if isinstance(rule, Alert) and rule.lasts != "0s":
        for factor in (0.5, 2):
            lasts = f"{int(float(rule.lasts[:-1]) * _UNIT_S[rule.lasts[-1]] * factor)}s"
            yield Mutant(replace(rule, lasts=lasts), f"for {rule.lasts} -> {lasts}")


def _expressions(expr: str) -> Iterator[tuple[str, str]]:
    for found in _NUMBER.finditer(_without_selectors(expr)):
        for other in _other_numbers(found[1]):
            yield _put(expr, found.span(1), other), f"{found[1]} -> {other}"
    for found in _WINDOW.finditer(expr):
        length = int(found[1]) * _UNIT_S[found[2]]
        for other in (f"[{length // 2}s]", f"[{length * 2}s]"):
            yield _put(expr, found.span(), other), f"{found[0]} -> {other}"
    for found in _NAMED_WINDOW.finditer(expr):
        other = "30m" if found[1] != "30m" else "1d"
        yield _put(expr, found.span(1), other), f"rate{found[1]} -> rate{other}"
    for found in _SELECTOR.finditer(expr):
        for other in _other_selectors(found[1]):
            yield _put(expr, found.span(1), other), f"{{{found[1]}}} -> {{{other}}}"


def _other_numbers(text: str) -> tuple[str, ...]:
    """Counts move by one, everything else by a quarter."""
    if "." not in text and int(text) <= _SMALL:
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
            left = "|".join(each for each in value.split("|") if each != alternative)
            yield ",".join([*others, f'{label}=~"{left}"'])


def _without_selectors(expr: str) -> str:
    """The same length, with selectors, windows and label lists blanked: what is left of digits are numbers."""
    return re.sub(r"\{[^{}]*\}|\[[^\]]*\]", lambda found: " " * len(found[0]), expr)


def _put(text: str, span: tuple[int, int], other: str) -> str:
    return text[: span[0]] + other + text[span[1] :]
