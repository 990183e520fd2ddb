"""Brain volumes: registration, masks, scaling, and the files that hold them."""
