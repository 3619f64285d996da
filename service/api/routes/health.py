"""Liveness and readiness, for whatever keeps the process running."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: str = Field(examples=["alive"])


@router.get("/livez")
async def livez() -> Alive:
    """Looks at nothing: the process answers."""
    return Alive(status="alive")
