"""Records for tests: constants and hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

from providers.base import AnsweringModel, BlockEnd, Delta, Frame, Opaque, Reasoning, RefusalText, Text, ToolCall
from streamserver.core.error_codes import FAILURES
from streamserver.log.records import ContinuedText, Done, Failed, Record, Start, Terminal, TokenUsage

START = Start("stream-id_0123456789abc", "request-1", "echo", "echo")
USAGE = TokenUsage(3, 4, 7, estimated=True)
DONE = Done("stop", "echo", "echo", USAGE, 1.5, 20.0)
FAILED = Failed("cancelled", "The answer was stopped.", False, None, "request-1", None)

any_text = st.text(
    st.one_of(
        st.sampled_from(["\n", "\r", "\r\n", "\u2028", "\u2029", "\x85", "\0", "\ufeff", " ", ":", "\ud83d", "\ude00"]),
        st.sampled_from(list("dataidevent: {}\"'\\")),
        st.characters(),
        st.characters(categories=["Cs"]),
    ).map(lambda found: found[0]),
    max_size=30,
) | st.sampled_from(
    ["\r\n", "\n\n", "data: x\n\nevent: done\ndata: {}\n\n", "id: forged:1\n", "retry: 1\n\n", " x", "😀"]
)
"""Text that a provider can send: all kinds of line ends, forged fields, lone surrogates."""

tokens = st.none() | st.integers(0, 10**9)
usages = st.none() | st.builds(TokenUsage, *[st.integers(0, 10**9)] * 3, st.booleans())
milliseconds = st.floats(0, 10**9)
deltas: st.SearchStrategy[Delta] = st.one_of(
    st.builds(Text, any_text),
    st.builds(Reasoning, any_text),
    st.builds(ToolCall, st.integers(0, 99), st.none() | any_text, st.none() | any_text, any_text),
)
terminals: st.SearchStrategy[Terminal] = st.one_of(
    st.builds(Done, any_text, any_text, any_text, usages, st.none() | milliseconds, milliseconds),
    st.builds(Failed, any_text, any_text, st.booleans(), st.none() | milliseconds, any_text, usages),
)


def as_generated(pieces: list[Delta]) -> list[Delta]:
    """Return ``pieces`` as a generation writes them: with :class:`ContinuedText` for the LF of a split CRLF."""
    marked: list[Delta] = []
    after_cr = False
    for piece in pieces:
        if isinstance(piece, Text) and piece.text:
            marked.append(ContinuedText(piece.text) if after_cr and piece.text[0] == "\n" else piece)
            after_cr = piece.text[-1] == "\r"
        else:
            marked.append(piece)
    return marked


starts = st.builds(Start, st.just(START.stream_id), any_text, any_text, any_text)
whole_logs: st.SearchStrategy[list[Record]] = st.builds(
    lambda start, pieces, terminal: [start, *as_generated(pieces), terminal],
    starts,
    st.lists(deltas, max_size=12),
    terminals,
)
"""All records of a log that has ended."""

blocks: st.SearchStrategy[BlockEnd] = st.one_of(
    st.builds(BlockEnd, st.sampled_from(["text", "refusal"])),
    st.builds(BlockEnd, st.just("tool_call"), st.integers(0, 3)),
    st.builds(
        BlockEnd,
        st.just("reasoning"),
        st.none(),
        st.none()
        | st.builds(
            Opaque,
            st.sampled_from(["messages", "responses"]),
            st.just("model"),
            st.sampled_from([{"signature": "sig"}, {"data": "redacted"}, {"id": "rs_1", "encrypted_content": "enc"}]),
        ),
    ),
)
calls = st.builds(
    ToolCall,
    st.integers(0, 3),
    st.none() | st.just("call_1"),
    st.none() | st.just("look"),
    st.sampled_from(["", "{", "}", "{}", '{"a":', "1}", "\ud83d"]),
    st.none() | st.just({"extra_content": {"google": {"thought_signature": "s"}}}),
    st.booleans(),
)
foreign_pieces = st.one_of(deltas, st.builds(RefusalText, any_text), blocks, calls)
foreign_frames = st.builds(
    Frame,
    st.just("chat"),
    st.just(""),
    st.sampled_from(
        [b'{"choices":[]}', b'{"choices":[{"index":0,"delta":{"content":"a"}}]}', b'{"usage":{},"choices":[]}']
    ),
    st.lists(foreign_pieces, max_size=3).map(tuple),
)

foreign_terminals: st.SearchStrategy[Terminal] = st.one_of(
    st.builds(
        Done,
        st.sampled_from(["stop", "length", "tool_calls", "other"]),
        any_text,
        any_text,
        usages,
        st.none(),
        milliseconds,
    ),
    st.builds(Failed, st.sampled_from(sorted(FAILURES)), any_text, st.booleans(), st.none(), any_text, usages),
)


def foreign_logs(wire: str) -> st.SearchStrategy[list[Record]]:
    """Return whole logs of a stream that came on ``wire``: translated pieces, or frames of chat completions."""
    start = st.builds(
        Start,
        st.just(START.stream_id),
        any_text,
        any_text,
        any_text,
        created=st.integers(0, 2**32),
        wire=st.just(wire),
        options=st.sampled_from([{}, {"include_usage": True}, {"background": True}]),
    )
    return st.builds(
        lambda start, model, pieces, terminal: [start, *model, *pieces, terminal],
        start,
        st.lists(st.builds(AnsweringModel, any_text), max_size=1),
        st.lists(foreign_pieces, max_size=12) | st.lists(foreign_frames, max_size=6),
        foreign_terminals,
    )
