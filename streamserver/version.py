"""The version: the one place that has it, for the build and for the program."""

__version__ = "0.1.0"
