"""Values of sections by their places."""

from __future__ import annotations

from pathlib import Path

from survfuse.config.encoder import EncoderConfig
from survfuse.config.section import value_at, with_value
from survfuse.config.slides import SlideConfig


def test_a_value_is_found_and_replaced_by_its_place() -> None:
    inside = SlideConfig(encoder=EncoderConfig(preset="uni", weights=Path("a")))
    assert value_at(inside, "encoder.weights") == Path("a")
    changed = with_value(inside, "encoder.weights", Path("b"))
    assert changed.tile_encoder == EncoderConfig(preset="uni", weights=Path("b"))
    assert value_at(inside, "encoder.weights") == Path("a"), "sections never change"
    assert value_at(with_value(inside, "tile_px", 64), "tile_px") == 64


def test_where_there_is_no_such_section_nothing_is_replaced() -> None:
    beside = SlideConfig(encoder="uni", weights=Path("a"))
    assert value_at(beside, "encoder.weights") is None
    assert with_value(beside, "encoder.weights", Path("b")) is beside
