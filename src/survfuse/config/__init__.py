"""The configuration: one module per section, loading, rules between sections, schema and page."""
