"""Streams without HTTP: a generation, its log's one ending, and what may start, find and stop it."""
