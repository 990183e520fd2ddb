"""What moved the estimates of a fitted network: attributions, modalities, maps of volumes."""
