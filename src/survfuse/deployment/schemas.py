"""JSON schemas of what a package takes and gives, which it holds itself."""

from __future__ import annotations

from typing import Any

SCHEMAS: dict[str, dict[str, Any]] = {}
