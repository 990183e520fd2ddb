"""A local web page that predicts new patients: what `survfuse serve` starts."""
