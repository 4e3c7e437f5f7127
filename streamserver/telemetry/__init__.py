"""Logs, metrics and traces. They never contain a prompt, an answer, a key or a whole stream id."""
