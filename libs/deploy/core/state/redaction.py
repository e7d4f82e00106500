"""Removes the values of known secrets from text that leaves the process.

This is the second line of defence. The first is that a `Secret` prints as ***; redaction is for text that comes from
elsewhere, such as the last line of a command that failed on a host.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from deploy.core.state.secret_forms import SHORTEST, forms_of
from deploy.core.state.secrets import MASK, Secret

LEAST = 3
"""A line is kept until the next one if it ends with this many characters of a value, which may go on there.

With fewer, every other line of a log that is followed would come late.
"""

LONG = 16
"""A form of this length is also known without its first one or two characters, since a line may end after those."""

NAME = r"[\w-]*(?:passw(?:or)?d|secret|token|api[-_]?key|credential|authorization)[\w-]*"
"""The names of options and variables whose values are credentials."""

_NAMED_CREDENTIAL = re.compile(
    rf"(?!\w*(?:_FILE|_URL|_URI|_DIR|_PATH|_ROLE)$){NAME}", re.IGNORECASE
)
_WRAP = re.compile(
    r"(?<!\\)\\*+(?:\r?\n|(?<=\\)(?:r\\++)?n)(?:[ \t]|\\++t)*+(?:[\w.-]{1,80}+ [\w.-]{1,80}+ \| )?"
)
"""A line break in a text, or in a text within JSON, with what stands before the next line: blanks, or its replica."""

type Span = tuple[int, int]


class _Known:
    """The forms of all known values, the longest first, and the same without line breaks."""

    def __init__(self, forms: Iterable[str]) -> None:
        self.forms = _longest_first(forms)
        unwrapped = (_WRAP.sub("", form) for form in self.forms)
        self.unwrapped = _longest_first(form for form in unwrapped if len(form) >= SHORTEST)

    @cached_property
    def starts(self) -> Mapping[str, Sequence[str]]:
        """The forms by their first characters, one and LEAST."""
        starts: dict[str, list[str]] = {}
        for form in self.unwrapped:
            for length in (1, LEAST):
                starts.setdefault(form[:length], []).append(form)
        return starts


class Redaction:
    """The values that must not leave the process. Call it with a text to get the text without them."""

    def __init__(self) -> None:
        self._known = _Known(())

    def know(self, secret: Secret) -> None:
        """Adds a value, in all the forms in which text may contain it."""
        forms = forms_of(secret.reveal())
        ends = {form[cut:] for form in forms if len(form) >= LONG for cut in range(1, LEAST)}
        if not forms <= {*self._known.forms}:
            self._known = _Known({*self._known.forms, *forms, *ends})

    def __call__(self, text: str) -> str:
        """Returns the text with every known value replaced by ***, also where line breaks divide it."""
        known = self._known
        return _masked(text, _spans(text, known)) if known.forms else text

    def split(self, text: str, *, line: bool = False) -> tuple[str, str]:
        """Returns the text without known values, and its end, unredacted, if that may be the beginning of one.

        The end is to be put in front of what follows. Of a `line`, an end of one or two characters is not kept.
        """
        known = self._known
        if not known.forms:
            return text, ""
        spans, cut = _spans(text, known), _beginning(text, known, LEAST if line else 1)
        cut = next((start for start, end in spans if start < cut < end), cut)
        return _masked(text[:cut], [span for span in spans if span[1] <= cut]), text[cut:]


def credentials_in(environ: Mapping[str, str]) -> Iterator[Secret]:
    """Yields the values of variables that by their names are credentials. Paths of files are none."""
    for name, value in environ.items():
        if _NAMED_CREDENTIAL.fullmatch(name) and not value.startswith(("/", "~", ".", "http")):
            yield Secret(value)


def _longest_first(forms: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(forms), key=lambda form: (-len(form), form)))


def _spans(text: str, known: _Known) -> list[Span]:
    """Returns where known values are in the text."""
    found = list(_find(text, known.forms))
    if _WRAP.search(text.rstrip()):
        unwrapped, place = _unwrap(text)
        found += [
            (place(start), place(end - 1) + 1) for start, end in _find(unwrapped, known.unwrapped)
        ]
    return _merged(found)


def _beginning(text: str, known: _Known, least: int) -> int:
    """Returns where the longest end of the text begins that is the beginning of a value, but not all of it."""
    before = max(0, len(text) - 4 * len(known.forms[0]))
    unwrapped, place = _unwrap(text[before:])
    for at in range(len(unwrapped) - least + 1):
        for form in known.starts.get(unwrapped[at : at + least], ()):
            if len(unwrapped) - at < len(form) and form.startswith(unwrapped[at:]):
                return before + place(at)
    return len(text)


def _find(text: str, forms: Sequence[str]) -> Iterator[Span]:
    for form in forms:
        at = text.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = text.find(form, at + len(form))


class _Places:
    """Where the characters of an unwrapped text are in the text."""

    def __init__(self) -> None:
        self.unwrapped: list[int] = []
        self.original: list[int] = []

    def __call__(self, at: int) -> int:
        number = bisect_right(self.unwrapped, at) - 1
        return self.original[number] + at - self.unwrapped[number]


def _unwrap(text: str) -> tuple[str, _Places]:
    """Returns the text without line breaks and indentation, and where its characters were."""
    places, parts, length, at = _Places(), list[str](), 0, 0
    for start, end in [*(found.span() for found in _WRAP.finditer(text)), (len(text), len(text))]:
        if start > at or start == len(text):
            places.unwrapped.append(length)
            places.original.append(at)
            parts.append(text[at:start])
            length += start - at
        at = end
    return "".join(parts), places


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _masked(text: str, spans: Iterable[Span]) -> str:
    parts, at = list[str](), 0
    for start, end in spans:
        parts += [text[at:start], MASK]
        at = end
    return "".join([*parts, text[at:]])
