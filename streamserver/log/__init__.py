"""Logs of generations: what one writes, and every reader of it reads."""

from streamserver.log.base import Log
from streamserver.log.memory import MemoryLog
from streamserver.log.records import Done, Failed, Record, Start, Terminal, TokenUsage

__all__ = ["Done", "Failed", "Log", "MemoryLog", "Record", "Start", "Terminal", "TokenUsage"]
