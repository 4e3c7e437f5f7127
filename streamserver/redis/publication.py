"""Publishing a stream: its first record, its idempotency key and its names, in one step."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from streamserver.log.codec import encode
from streamserver.redis.connection import Command, Packed
from streamserver.redis.keys import claim_key, log_key, name_key
from streamserver.store.base import Claim, ClaimHolder, LocalStream

# The reply is the holder of the key, if it is another one: then nothing is written.
_PUBLISH = """
local claims = tonumber(ARGV[6])
if claims == 1 then
    local held = redis.call('GET', KEYS[2])
    if held and held ~= ARGV[7] then return held end
    redis.call('SET', KEYS[2], ARGV[7], 'PX', ARGV[1])
end
redis.call('XADD', KEYS[1], '1-0', 'r', ARGV[2], 'n', ARGV[3], 'g', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
for i = 2 + claims, #KEYS do redis.call('SET', KEYS[i], ARGV[5], 'PX', ARGV[1]) end
return false
"""
# A stream that is written again takes a name back only from an older one.
_BIND_AGAIN = """
local held = redis.call('GET', KEYS[1])
if held and tonumber(string.match(held, '^%d+')) > tonumber(string.match(ARGV[1], '^%d+')) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_BIND = """
local left = redis.call('PTTL', KEYS[2])
if left > 0 then redis.call('SET', KEYS[1], ARGV[1], 'PX', left) end
return left
"""
# A name may expire later than its stream.
_LOOKUP = """
local held = redis.call('GET', KEYS[1])
if not held then return false end
local stream = string.match(held, ' (.*)')
if redis.call('EXISTS', ARGV[1] .. stream) == 0 then return false end
return stream
"""


class Publication(msgspec.Struct):
    """The idempotency key and the names of a stream, by which it can be found."""

    claim: Claim | None = None
    names: tuple[str, ...] = ()
    """As keys of Redis."""
    name_value: str = ""
    """The value of the keys of ``names``."""

    @classmethod
    def of(cls, stream: LocalStream, claim: Claim | None, names: Sequence[str]) -> Publication:
        return cls(claim, tuple(map(name_key, names)), _name_value(stream.id))

    def publish(self, stream: LocalStream, node: str, lifetime_ms: int) -> Packed:
        """Return the command that publishes ``stream``. Its reply is as expected, or the value of the idempotency key
        if another stream holds it."""
        claims = [] if self.claim is None else [claim_key(self.claim.key)]
        held = "" if self.claim is None else claim_value(stream.id, self.claim.fingerprint)
        keys = [log_key(stream.id), *claims, *self.names]
        record = encode(stream.log.take(0, 1))
        values = (lifetime_ms, record, node, str(stream.grace_seconds), self.name_value, len(claims), held)
        return Packed.of(("EVAL", _PUBLISH, len(keys), *keys, *values), expected=b"$-1\r\n")

    def restore(self, stream: LocalStream, lifetime_ms: int) -> list[Command]:
        """Return the commands that restore what a Redis that lost its data has forgotten."""
        commands: list[Command] = []
        if self.claim is not None:
            value = claim_value(stream.id, self.claim.fingerprint)
            commands.append(("SET", claim_key(self.claim.key), value, "NX", "PX", lifetime_ms))
        commands += [("EVAL", _BIND_AGAIN, 1, name, self.name_value, lifetime_ms) for name in self.names]
        return commands


def bind_command(name: str, stream_id: str) -> Command:
    """Return the command that binds ``name`` to a stream, if Redis still has it."""
    return ("EVAL", _BIND, 2, name_key(name), log_key(stream_id), _name_value(stream_id))


def lookup_command(name: str) -> Command:
    """Return the command that looks up the id of the stream bound to ``name``."""
    return ("EVAL", _LOOKUP, 1, name_key(name), log_key(""))


def claim_value(stream_id: str, fingerprint: str) -> str:
    """Return the value of a claim's key."""
    return f"{stream_id} {fingerprint}"


def parse_claim(value: bytes | None) -> ClaimHolder | None:
    """Return the holder in the value of a claim's key."""
    if value is None:
        return None
    stream_id, _, fingerprint = value.decode().partition(" ")
    return ClaimHolder(stream_id, fingerprint)


def _name_value(stream_id: str) -> str:
    return f"{time.time_ns() // 1000} {stream_id}"
