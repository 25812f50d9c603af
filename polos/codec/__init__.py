"""Values, payloads and failures to bytes and back, and what Pydantic does for Polos.

The bytes are JSON; what JSON doesn't have is a tagged object in it. No class is ever imported or
called because of what the bytes say.
"""

from polos.codec.coercion import coerce
from polos.codec.display import plain
from polos.codec.failures import (
    decode_failure,
    decode_history,
    encode_failure,
    encode_history,
    failure_of,
)
from polos.codec.inputs import input_of
from polos.codec.payloads import (
    decode_payload,
    encode_payload,
    foreign_payload,
    json_payload,
)
from polos.codec.previews import previewed
from polos.codec.redaction import MASK, masked_field, redacted, redacted_text
from polos.codec.unpackables import unpackable
from polos.codec.values import decode, encode

__all__ = [
    "MASK",
    "coerce",
    "decode",
    "decode_failure",
    "decode_history",
    "decode_payload",
    "encode",
    "encode_failure",
    "encode_history",
    "encode_payload",
    "failure_of",
    "foreign_payload",
    "input_of",
    "json_payload",
    "masked_field",
    "plain",
    "previewed",
    "redacted",
    "redacted_text",
    "unpackable",
]
