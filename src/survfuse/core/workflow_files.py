"""Where the workflow lies that this package is part of: Snakefile, rules, profiles and schema.

In a checkout `survfuse/workflow` is a link to the directory of that name at the top; a wheel holds
its files. So both run the same workflow, and nobody needs a checkout to run one.
"""

from __future__ import annotations

from pathlib import Path

WORKFLOW = (Path(__file__).parents[1] / "workflow").resolve()
SNAKEFILE = WORKFLOW / "Snakefile"
PROFILES = WORKFLOW / "profiles"
SCHEMA = WORKFLOW / "schemas" / "config.schema.json"
