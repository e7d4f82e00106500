"""Queries Prometheus over its HTTP API."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from deploy.errors import MetricsError


class Prometheus:
    """MetricsQuery over /api/v1/query (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s

    def query(self, promql: str) -> list[tuple[Mapping[str, str], float]]:
        """Runs an instant query; returns (labels, value) of each series, at least one.

        Raises MetricsError if Prometheus doesn't answer or refuses, if no series matches, or if a value is NaN or
        infinite, so that missing data never passes an analysis.
        """
        data = self._data(promql)
        if not data.get("result"):
            raise self._failed(promql, "no series matches")
        match data.get("resultType"):
            case "vector":
                return [
                    (series["metric"], self._number(series["value"][1], promql))
                    for series in data["result"]
                ]
            case "scalar":
                return [({}, self._number(data["result"][1], promql))]
            case other:
                raise self._failed(promql, f"the result is a {other}, not an instant value")

    def _data(self, promql: str) -> dict[str, Any]:
        target = f"{self._url}/api/v1/query?{urlencode({'query': promql})}"
        if not target.startswith(("http://", "https://")):
            raise self._failed(promql, "its address should start with http:// or https://")
        try:
            with urllib.request.urlopen(target, timeout=self._timeout_s) as response:  # noqa: S310
                body = response.read()
        except urllib.error.HTTPError as error:
            with error:
                body = error.read()
            raise self._failed(promql, _reason(body) or f"status {error.code}") from error
        except urllib.error.URLError as error:
            raise self._failed(promql, f"no answer: {error.reason}") from error
        except OSError as error:
            raise self._failed(promql, f"no answer: {error}") from error
        try:
            data = json.loads(body)["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._failed(promql, "the answer is not from Prometheus") from error
        if not isinstance(data, dict):
            raise self._failed(promql, "the answer is not from Prometheus")
        return data

    def _number(self, text: str, promql: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise self._failed(promql, f"a value is {text}, which is no data")
        return value

    def _failed(self, promql: str, reason: str) -> MetricsError:
        return MetricsError(
            f"Prometheus at {self._url} can't answer `{promql}`: {reason}",
            hint=f"check {self._url}/api/v1/targets and /api/v1/status/runtimeinfo",
        )


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
