"""What only the whole cohort shows: mixed encoders, mixed scales, content that occurs twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from survfuse.core.errors import UserInputError
from survfuse.modalities.inputs import write_availability
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.slides.bags import load_bags
from survfuse.modalities.slides.merging import check_one_encoder, merge_slides
from survfuse.modalities.slides.store import SlideStatus, read_manifest, write_manifest


def slide(number: int, **told: object) -> SlideStatus:
    return replace(SlideStatus(f"S{number}", f"P{number}", "ok", n_tiles=3, features="f"), **told)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([{"encoder": "uni_v1"}, {"encoder": "uni_v1"}, {"encoder": "conch_v1"}], "different enc"),
        ([{"tile_um": 128.0}, {"tile_um": 256.0}], "different size: 128 micrometres"),
        ([{"encoder": "uni_v1"}, {"encoder": "UNI_V1"}, {}], None),
        ([{"tile_um": 128.0}, {"tile_um": 129.0}, {}], None),
        ([{"encoder": "a"}, {"encoder": "b", "status": "quarantined"}], None),
        ([{}, {}], None),
        ([], None),
    ],
)
def test_a_mixture_of_encoders_or_scales_stops_the_run(
    tmp_path: Path, told: list[dict[str, object]], said: str | None
) -> None:
    slides = [slide(number, **one) for number, one in enumerate(told)]
    batches = [tmp_path / "0.tsv", tmp_path / "1.tsv"]
    write_manifest(batches[0], slides[:1])
    write_manifest(batches[1], slides[1:])
    if said is None:
        merge_slides(batches, tmp_path / "slides.tsv")
        return
    with pytest.raises(UserInputError, match=said) as error:
        merge_slides(batches, tmp_path / "slides.tsv")
    assert error.value.exit_code == 2
    with pytest.raises(UserInputError, match=said):
        load_bags(tmp_path / "slides.tsv")
    (tmp_path / "c.tsv").write_text("patient_id\nP0\n")
    files = {"slides": tmp_path / "slides.tsv"}
    paths = InputPaths(tmp_path / "splits.tsv", tmp_path / "c.tsv", files)
    with pytest.raises(UserInputError, match=said):
        write_availability(paths, tmp_path / "availability.tsv")


def test_the_mixture_is_told_with_counts(tmp_path: Path) -> None:
    slides = [slide(n, encoder="plip" if n < 3 else "uni") for n in range(8)]
    with pytest.raises(UserInputError, match=r"uni \(5 slides\), plip \(3 slides\)"):
        check_one_encoder(tmp_path / "slides.tsv", slides)


def test_slides_that_do_not_tell_their_encoder_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    check_one_encoder(tmp_path / "slides.tsv", [slide(0, encoder="uni"), slide(1), slide(2)])
    assert "2 of 3 slides do not tell their encoder" in caplog.text


def test_content_that_occurs_twice_is_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slides = [
        slide(0, source_sha256="aa", reason="the slide has no colour"),
        slide(1, source_sha256="aa"),
        slide(2, source_sha256="bb"),
        slide(3, source_sha256="bb", patient_id="P2"),
        slide(4, source_sha256="cc"),
        slide(5),
        slide(6),
        slide(7, source_sha256="cc", status="quarantined"),
    ]
    write_manifest(tmp_path / "0.tsv", slides)
    merge_slides([tmp_path / "0.tsv"], tmp_path / "slides.tsv")
    reasons = {row.slide_id: row.reason for row in read_manifest(tmp_path / "slides.tsv")}
    assert reasons["S0"].startswith("the slide has no colour; its content is that of slide S1 of")
    assert "another patient" in reasons["S1"]
    assert "this patient" in reasons["S2"] and "slide S2" in reasons["S3"]
    assert [reasons[f"S{n}"] for n in range(4, 8)] == ["", "", "", ""]
    assert "slide S1: its content is that of slide S0" in caplog.text


def test_widths_are_compared_too(tmp_path: Path) -> None:
    for number, width in enumerate((3, 4)):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["features"] = np.ones((2, width), np.float32)
    rows = [slide(number, features=f"{number}.h5") for number in range(2)]
    write_manifest(tmp_path / "slides.tsv", rows)
    with pytest.raises(UserInputError, match="width 4"):
        load_bags(tmp_path / "slides.tsv")
