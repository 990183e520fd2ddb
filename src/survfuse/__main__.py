"""`python -m survfuse` is `survfuse`."""

import sys

from survfuse.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
