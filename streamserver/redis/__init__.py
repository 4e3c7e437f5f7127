"""Redis (or Valkey) as the store: any node serves, resumes and stops any stream.

The producer keeps its whole log in memory and replicates it (:mod:`.replicator`); other nodes copy it for their
readers (:mod:`.replicas`). A process has a heartbeat (:mod:`.heartbeat`) and an inbox (:mod:`.inbox`), each on a
connection of its own, and one connection that everything else shares (:mod:`.connection`).
"""

from streamserver.redis.store import RedisStore

__all__ = ["RedisStore"]
