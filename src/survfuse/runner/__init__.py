"""The workflow as a whole: starting it, its configuration, its progress, the files it watches."""
