"""What every wire format has to keep: the guarantees of :class:`streamserver.wire.base.Encoder`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.base import Delta, Text
from streamserver.log.records import Record
from streamserver.wire.base import MAX_BATCH_BYTES, Encoder
from tests.support.records import DONE, FAILED, START, whole_logs
from tests.support.sse import DispatchedEvent, Parser, parse

over_a_fixture = settings(
    # One suite for several classes: that is what "differing executors" are.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


def encode_all(encoder: Encoder, records: Sequence[Record], offset: int = 0) -> bytes:
    """Encode ``records``, which begin at ``offset``, in as many batches as it takes."""
    data = b""
    while records:
        batch, count = encoder.encode(offset, records)
        assert count >= 1, "a batch without a record would never end"
        data += batch
        offset += count
        records = records[count:]
    return data


class EncoderContract:
    """A contract to be subclassed, with the encoder and with what a client of the format makes of the events."""

    def new_encoder(self) -> Encoder:
        """Return the encoder of a new response."""
        raise NotImplementedError

    def resuming(self, records: Sequence[Record], position: int) -> bytes:
        """Return the bytes for a client that has the events of the first ``position`` records."""
        raise NotImplementedError

    def text_of(self, events: list[DispatchedEvent]) -> str:
        """Return the answer's text, as a client puts it together."""
        raise NotImplementedError

    def normal(self, text: str) -> str:
        """Return ``text`` as the format carries it, where it cannot carry all of Unicode as it is."""
        raise NotImplementedError

    @given(records=whole_logs)
    @over_a_fixture
    def test_the_same_records_give_the_same_bytes(self, records: list[Record]) -> None:
        assert encode_all(self.new_encoder(), records) == encode_all(self.new_encoder(), records)

    @given(records=whole_logs, data=st.data())
    @over_a_fixture
    def test_to_resume_is_to_get_the_suffix(self, records: list[Record], data: st.DataObject) -> None:
        whole = encode_all(self.new_encoder(), records)
        position = data.draw(st.integers(1, len(records) - 1))
        before = encode_all(self.new_encoder(), records[:position])
        assert before + self.resuming(records, position) == whole

    @given(records=whole_logs)
    @over_a_fixture
    def test_record_by_record_or_all_at_once_it_is_the_same(self, records: list[Record]) -> None:
        encoder = self.new_encoder()
        single = b"".join(encode_all(encoder, [record], offset) for offset, record in enumerate(records))
        assert single == encode_all(self.new_encoder(), records)

    @given(records=whole_logs, cuts=st.lists(st.integers(0, 4000), max_size=20))
    @over_a_fixture
    def test_a_client_reads_what_was_written_however_it_is_cut(self, records: list[Record], cuts: list[int]) -> None:
        data = encode_all(self.new_encoder(), records)
        parser, events, begin = Parser(), [], 0
        for cut in [*sorted(cuts), len(data)]:
            events += parser.feed(data[begin:cut])
            begin = max(begin, cut)
        assert events == parse(data)
        text = "".join(record.text for record in records if isinstance(record, Text))
        assert self.text_of(events) == self.normal(text)

    @given(records=whole_logs)
    @over_a_fixture
    def test_every_line_is_a_field_of_the_format(self, records: list[Record]) -> None:
        data = encode_all(self.new_encoder(), records)
        assert b"\r" not in data
        assert data.endswith(b"\n\n")
        names = {line.partition(b":")[0] for line in data.split(b"\n")}
        assert names <= {b"", b"id", b"event", b"data", b"retry"}

    @pytest.mark.parametrize("sign", ["a", "é", "中", "😀", "\ud800", "\n", '"'])
    def test_a_batch_ends_with_the_record_that_fills_it(self, sign: str) -> None:
        pieces: list[Delta] = [Text(sign * 1000)] * 200
        records: list[Record] = [START, *pieces, DONE]
        encoder, single, offset = self.new_encoder(), self.new_encoder(), 0
        while offset < len(records):
            batch, count = encoder.encode(offset, records[offset:])
            sizes = [len(encode_all(single, [record], offset + n)) for n, record in enumerate(records[offset:][:count])]
            assert sum(sizes[:-1]) < MAX_BATCH_BYTES, f"{len(batch)} bytes in {count} records"
            offset += count
            assert len(batch) >= MAX_BATCH_BYTES or offset == len(records), "a batch left room"

    def test_a_record_larger_than_a_batch_goes_alone(self) -> None:
        encoder, large = self.new_encoder(), Text("x" * (2 * MAX_BATCH_BYTES))
        encoder.encode(0, [START])
        batch, count = encoder.encode(1, [large, large])
        assert count == 1
        assert len(batch) > 2 * MAX_BATCH_BYTES

    def test_a_keepalive_between_any_two_records_changes_nothing_for_a_client(self) -> None:
        records: list[Record] = [START, Text("a\n"), Text("b"), FAILED]
        encoder = self.new_encoder()
        parts = [encode_all(encoder, [record], offset) for offset, record in enumerate(records)]
        events = parse(encoder.keepalive.join([b"", *parts]))
        positions = [event.id for event in events]
        assert positions == sorted(positions), "it moved the position"
        assert self.text_of(events) == self.normal("a\nb")

    def test_an_ending_of_the_response_itself_is_whole(self) -> None:
        data = self.new_encoder().encode_failure(FAILED)
        assert data.endswith(b"\n\n")
        assert parse(data)
