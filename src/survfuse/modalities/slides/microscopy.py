"""What holds of every microscope."""

PLAUSIBLE_MPP = (0.05, 4.0)  # micrometres per pixel of the full-resolution level
SCANNER_MPP = (0.1, 2.0)  # what scanners give; exported images may be coarser
