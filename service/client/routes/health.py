"""Requests about the server itself; none needs a key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx

from service.client.calls import Call, get, model
from service.client.models.health import Ready


def livez() -> Call[dict[str, Any]]:
    """Does the process answer?"""
    return get("/livez", _json)


def readyz() -> Call[Ready]:
    """Do all parts answer?"""
    return replace(get("/readyz", model(Ready)), also_answers=frozenset({503}))


def metrics() -> Call[str]:
    """Figures for Prometheus, as text."""
    return get("/metrics", _text)


def _json(response: httpx.Response) -> dict[str, Any]:
    return dict(response.json())


def _text(response: httpx.Response) -> str:
    return response.text
