"""Redis (or Valkey) as the store: any node serves, resumes and stops any stream.

The producer keeps its whole log in memory and copies it out (:mod:`.mirror`); other nodes copy it
back in for their readers (:mod:`.replicas`). Each process has a heartbeat (:mod:`.pulse`) and an inbox
(:mod:`.inbox`), and two connections: one for commands, one that waits for the inbox.
"""

from streamserver.redis.store import RedisStore

__all__ = ["RedisStore"]
