"""What is used of redis-py beside its documented interface."""

from __future__ import annotations

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ReadOnlyError, ResponseError

from streamserver.redis._redis_py import RedisConnection, first_word, is_out_of_order, pack, pool_of

IN_SCRIPT_OF_REDIS_6 = (
    "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: "
    "-READONLY You can't write against a read only replica. "
)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("NOPERM this user has no permissions to run the 'info' command", "NOPERM"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS"),
        ("NOAUTH Authentication required.", "NOAUTH"),
        ("READONLY You can't write against a read only replica.", "READONLY"),
        ("READONLY You can't write against a read only replica. script: 1, on @user_script:1.", "READONLY"),
        (IN_SCRIPT_OF_REDIS_6, "READONLY"),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "MASTERDOWN"),
        ("LOADING Redis is loading the dataset in memory", "LOADING"),
        ("UNBLOCKED force unblock from blocking operation, instance state changed", "UNBLOCKED"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("NOREPLICAS Not enough good replicas to write.", "NOREPLICAS"),
        ("ERR DB index is out of range", "ERR"),
        ("weird", "ERR"),
    ],
)
def test_the_first_word_of_an_answer_is_found(answer: str, word: str) -> None:
    assert first_word(BaseParser.parse_error(answer)) == word  # type: ignore[no-untyped-call]


def test_the_first_word_is_found_without_redis_pys_own_attribute() -> None:
    for error, word in ((ReadOnlyError("You can't"), "READONLY"), (NoPermissionError("this user"), "NOPERM")):
        del error.status_code
        assert first_word(error) == word
    assert first_word(TimeoutError()) is None
    assert first_word(RedisConnectionError("refused")) is None


def test_commands_are_packed_as_redis_py_packs_them() -> None:
    commands = [
        ("XADD", "key", "NOMKSTREAM", "7-0", "r", b"\x00\xff\r\n"),
        ("SET", "ü", 12, "PX", 1.5),
        ("PING",),
        ("GET", ""),
    ]
    raw = pool_of("redis://127.0.0.1:1/0").make_connection()  # type: ignore[no-untyped-call]
    assert pack(commands) == b"".join(raw.pack_commands(commands))


def test_an_append_that_comes_too_late_is_told_from_other_refusals() -> None:
    for text in (
        "The ID specified in XADD is equal or smaller than the target stream top item",
        "The stream has exhausted the last possible ID, unable to add more items",
    ):
        assert is_out_of_order(ResponseError(text))
    assert not is_out_of_order(ResponseError("OOM command not allowed"))


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_closed_connection_is_not_opened_again(how: str) -> None:
    """redis-py connects by itself when a command is sent."""
    connection = RedisConnection(pool_of("redis://127.0.0.1:1/0"), lambda: None)
    if how == "close":
        await connection.close()
    else:
        connection.abort()
    for use in (lambda: connection.send([("PING",)]), connection.read):
        with pytest.raises(RedisConnectionError, match="closed"):
            await use()
