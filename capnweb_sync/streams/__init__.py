"""Streams: chunks of any values, one after another, with a slow reader stopping a fast writer.

flow_control   how many bytes a writer may have under way
pipe           chunks between a writer at the peer and a reader here
sources        where the chunks that are sent come from
sinks          what a peer's `write`, `close` and `abort` reach
streams        what applications hold: `ReadableStream`, `WritableStream`
"""
