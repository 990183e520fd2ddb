"""New patients beside those of a study: unusual ones, changed periods, bounds on survival times."""
