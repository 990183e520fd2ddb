"""Reading slides: pyramid, resolution, tissue, tiles."""
