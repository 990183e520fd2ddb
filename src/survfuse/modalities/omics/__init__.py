"""Gene expression: its matrix, gene groups and scaling."""
