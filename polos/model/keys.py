"""Keys of the HTTP API: what is made, and what is kept of it.

A key is ``polos_<id>_<secret>``. Its secret is 32 random bytes, which nobody can guess or try, so a
plain SHA-256 is all that is kept: a slow hash is for passwords, which people choose.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from polos.model.records import Micros, as_datetime

PREFIX = "polos_"
_ID_BYTES = 8
_SECRET_BYTES = 32
# Longer than any key; what is longer is not even looked at.
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept, without its secret.

    Attributes:
        project_id: whose executions it opens.
        name: what people call it.
        used_at: when it was last used, to the minute.
        revoked_at: since when it opens nothing.
    """

    id: str
    project_id: str
    name: str
    created_at: Micros
    used_at: Micros | None = None
    revoked_at: Micros | None = None

    def to_dict(self) -> dict[str, Any]:
        """The key as plain data, with times as ISO 8601."""
        return {
            "id": self.id,
            "project_id": self.project_id,
            "name": self.name,
            "created_at": _iso(self.created_at),
            "used_at": _iso(self.used_at),
            "revoked_at": _iso(self.revoked_at),
        }


def _iso(moment: Micros | None) -> str | None:
    return None if moment is None else as_datetime(moment).isoformat()


def new_key() -> tuple[str, str]:
    """The id of a new key, and the key, which is shown once and kept nowhere."""
    id_ = secrets.token_hex(_ID_BYTES)
    return id_, f"{PREFIX}{id_}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def id_in(key: str) -> str | None:
    """The id in a key; None where this can be no key."""
    # Not str.isalnum and the like: they take the letters of all languages.
    if len(key) > _LONGEST or not key.isascii() or not key.startswith(PREFIX):
        return None
    id_, _, secret = key.removeprefix(PREFIX).partition("_")
    return id_ if len(id_) == 2 * _ID_BYTES and id_.isalnum() and secret else None


def digest_of(key: str) -> str:
    """What is kept of a key to know it again."""
    return sha256(key.encode()).hexdigest()


def is_of(key: str, digest: str) -> bool:
    """Whether a digest is that key's, in a time that says nothing of how near it was."""
    return compare_digest(digest_of(key), digest)
