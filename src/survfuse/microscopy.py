"""What holds of every microscope."""

PLAUSIBLE_MPP = (0.05, 4.0)  # micrometres per pixel of the full-resolution level
