"""The commands, a module per stage: the options of each as `--help` shows them, and what it does.

A command reads the configuration and calls one stage with paths and settings. Imports of the stages
stay inside the functions, so that `survfuse --help` answers at once.
"""
