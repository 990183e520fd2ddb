"""The page docs/reference/encoders.md, generated from the presets."""

from __future__ import annotations

from survfuse.modalities.slides.encoders.preset import Preset
from survfuse.modalities.slides.encoders.presets import PRESETS

POOLED = {
    "none": "its output",
    "class_token": "class token",
    "patch_mean": "mean of patches",
    "class_and_patch_mean": "class token and mean of patches",
}
HEADER = ("preset", "network", "sees", "tiles", "mean", "std", "embedding", "files may be named by")


def markdown() -> str:
    """The whole page."""
    lines = [
        "# Slide encoders",
        "",
        "Generated from `survfuse.modalities.slides.encoders.presets` by `survfuse schema --format "
        "encoders`; edit the presets, not this page. How to use them: "
        "[slides](../how_to/slides.md).",
        "",
        "Tiles are what the authors recommend, as pixels at micrometres per pixel; they are "
        "resized to what the network sees. Registers are part of no embedding.",
        "",
        f"| {' | '.join(HEADER)} |",
        "|---" * len(HEADER) + "|",
        *(row(name, preset) for name, preset in PRESETS.items()),
        "",
        "The licence is that of the weights, as their page says it; survfuse brings none. Files or "
        "folders of one of these names are found by `survfuse doctor --encoders`, in capitals or "
        "small letters, with hyphens or underscores.",
        "",
        "| preset | licence | page of the weights | names of files |",
        "|---|---|---|---|",
        *(provenance(name, preset) for name, preset in PRESETS.items()),
    ]
    return "\n".join(lines) + "\n"


def row(name: str, preset: Preset) -> str:
    """What a preset sets."""
    sees = f"{preset.input_px} px"
    if preset.resize_px:
        sees += f", the centre of {preset.resize_px}"
    cells = (
        f"`{name}`",
        f"`{preset.arch}`",
        sees,
        f"{preset.tile_px} at {preset.tile_mpp:g}",
        ", ".join(map(str, preset.mean)),
        ", ".join(map(str, preset.std)),
        f"{preset.width}, {POOLED[preset.pooling]}",
        ", ".join(preset.key_names),
    )
    return f"| {' | '.join(cells)} |"


def provenance(name: str, preset: Preset) -> str:
    """Where the weights of a preset are from."""
    names = ", ".join(f"`{one}`" for one in (name, *preset.names))
    return f"| `{name}` | {preset.licence} | {preset.page} | {names} |"
