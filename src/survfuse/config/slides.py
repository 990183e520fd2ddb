"""The section `slides` of the configuration: tissue, tiles and embeddings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from survfuse.config.encoder import Arguments, Colour, EncoderConfig, Pooling, require_unit_scale
from survfuse.config.section import Section

# Settings of an encoder that is named by a word alone, and their keys inside the section `encoder`.
PLAIN_FORM = {
    "encoder_options": "arguments",
    **{key: key for key in ("weights", "mean", "std", "input_px", "pooling", "untrained")},
}


class SlideConfig(Section):
    """Tissue, tiles and embeddings."""

    target_mpp: float = Field(0.5, ge=0.1, le=8, description="Micrometres per pixel of a tile.")
    tile_px: int = Field(256, ge=32, le=2048, description="Side of a tile in pixels.")
    min_tissue: float = Field(0.3, ge=0, le=1, description="Least share of tissue in a tile.")
    min_tissue_mm2: float = Field(
        0.02, ge=0, description="Pieces of tissue smaller than this are ignored."
    )
    encoder: EncoderConfig | str = Field(
        "resnet50_trunc",
        description="The network that embeds tiles, e.g. {preset: uni2-h, weights: uni2-h.bin}: "
        "see the section of this name. Or, in the plain form, the name of a preset or of a model "
        "of timm, with its settings in the keys from encoder_options to untrained.",
    )
    encoder_options: Arguments = Field(
        default_factory=dict, description="Plain form of encoder.arguments."
    )
    weights: Path | None = Field(None, description="Plain form of encoder.weights.")
    mean: Colour | None = Field(None, description="Plain form of encoder.mean.")
    std: Colour | None = Field(None, description="Plain form of encoder.std.")
    input_px: int | None = Field(
        None, ge=16, le=2048, description="Plain form of encoder.input_px."
    )
    pooling: Pooling | None = Field(None, description="Plain form of encoder.pooling.")
    untrained: bool = Field(False, description="Plain form of encoder.untrained.")
    batch_size: int = Field(50, ge=1, description="Slides per job.")
    max_failed_fraction: float = Field(
        0.2,
        ge=0,
        le=1,
        description="More quarantined slides than this stop the run (exit 4). A single one does so "
        "only at 0, or if no slide is left.",
    )
    decode_memory_gb: float = Field(
        4.0, gt=0, description="Memory that decoding one slide may take; more quarantines it."
    )
    decode_timeout_s: float = Field(
        900.0, gt=0, description="A slide whose next tiles take longer is quarantined."
    )
    clam_export: bool = Field(False, description="Also write CLAM's patches, h5_files, pt_files.")

    @model_validator(mode="after")
    def encoder_is_said_once(self) -> SlideConfig:
        require_unit_scale(self.mean, self.std)
        beside = [key for key in PLAIN_FORM if getattr(self, key)]
        if beside and isinstance(self.encoder, EncoderConfig):
            inside = ", ".join(PLAIN_FORM[key] for key in beside)
            raise ValueError(
                f"encoder has keys of its own, and {', '.join(beside)} beside it; write {inside} "
                "inside encoder"
            )
        return self

    @property
    def tile_encoder(self) -> EncoderConfig:
        """The encoder, in whichever form it was written."""
        if isinstance(self.encoder, EncoderConfig):
            return self.encoder
        beside = {inside: getattr(self, key) for key, inside in PLAIN_FORM.items()}
        return EncoderConfig.model_validate({"arch": self.encoder, **beside})
