"""survfuse: slides, genes and clinical tables to validated survival models and risk reports."""

__version__ = "0.1.0"
