"""What the gateway's headers say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.http.portkey import secret_of, trace_of

TRACE = b"x-portkey-trace-id"


@pytest.mark.promise("server.log.trace")
@given(st.binary(min_size=1, max_size=300))
def test_a_trace_id_is_fit_for_a_line_of_the_log(value):
    trace = trace_of({TRACE: value})
    assert trace is not None
    assert 1 <= len(trace) <= 128
    assert trace.isprintable()
    assert not set(trace) & set(' "=')
    assert len(trace.split()) == 1


@given(st.text("abcXYZ019-_./:", min_size=1, max_size=128))
def test_a_plain_trace_id_is_kept_as_it_is(value):
    assert trace_of({TRACE: value.encode()}) == value


@pytest.mark.parametrize("headers", [{}, {TRACE: b""}])
def test_without_a_trace_id_there_is_none(headers):
    assert trace_of(headers) is None


@pytest.mark.parametrize(
    ("headers", "secret"),
    [({}, None), ({b"x-portkey-api-key": b""}, None), ({b"x-portkey-api-key": b" sk-x "}, "sk-x")],
)
def test_the_key_may_stand_in_the_gateways_header(headers, secret):
    assert secret_of(headers) == secret
