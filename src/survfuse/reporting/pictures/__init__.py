"""Pictures for the pages: drawings of numbers, slides with attention, brain volumes."""
