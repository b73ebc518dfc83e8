"""Which keys belong to a secret: names of passwords, tokens, session ids, keys, cards and the like.

A key is read as words, so that `apiKey`, `api_key`, `X-API-Key` and `user[api_key]` are the same.
A key with a secret's word is a secret's, unless another word shows that it describes one, as in
`password_changed_at`, `has_password` and `token_count`. In doubt, a key is a secret's.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# A longer key is text, and is not kept in the cache.
MAX_CACHED_LENGTH = 100
BETWEEN_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W\d_]+")

# Words are separated by a hyphen.
SECRET = re.compile(
    r"""
    \b(?:
    # A word that begins or ends so, as in `userpassword` and `csrftoken`; not `secretary`.
      \w*passw(or)?d(?!less)\w* | \w*(secret|token|credential|passphrase|passcode|pwd)s? | creds?
    | secret(key|value|access)\w* | token(value|hash) | pass-?(word|phrase|code)s?
    | ^pass$ | pw | psw
    | (user|db|database|my|mysql|smtp|mail|ftp|login|admin|root|redis|http|proxy)-?pass$
    # authentication
    | \w*authorization | bearer | jwts? | ^auth$ | (x|basic|http|proxy|digest)-auth$
    | auth-(header|key) | \w*(csrf|xsrf)\w* | saml-?(response|assertion) | code-verifier | nonce$
    | \w*sess(ion)?-?(id|key|cookie|hash)s?\w* | session$ | ^sess$
    | ^sid$ | (connect|session|php)-sid | cookies?$ | cookie-(value|header|string|jar)
    | ^sig$ | ^signature$ | (amz|goog|hub|request|webhook|stripe|slack|shared-access)-signature
    | (auth|authorization|verification|recovery|backup|security|login|access|reset|activation
        |sms|two-factor|m?fa)-codes?$
    | (magic|reset)-(link|url) | (security|secret)-answers? | (seed|recovery)-phrase | mnemonic
    | [th]?otps? | one-time-(code|pin) | pin$ | pin-?(code|number)
    # keys of an interface or of encryption; not `primary_key`, `public_key`
    | \w*(api|secret|access|private|signing|encryption|session|auth)-?keys? | privkey
    | (decryption|crypto|cipher|master|shared|symmetric|hmac|aes|rsa|jwt|ssl|tls|pem|ssh|gpg|pgp
        |license|account|consumer|subscription|app|webhook|deploy)-keys?
    # cards and accounts
    | cvv | cvc | cvn | csc | pan$ | iban | ssn | social-security(-number)? | routing-?(number|no)
    | \w*(card|cc|account|acct)s?-?(number|num|no)s? | (credit|debit)-?card$ | bank-account$
    | card-(security-code|verification|pan)
    )(?!\w)
    """,
    re.VERBOSE,
)
# The other words of such a key show that its value is about a secret, and is none.
DESCRIPTION = re.compile(
    r"""
    \b(has|have|had|is|are|was|were|needs?|requires?|without|allow|masked|redacted)-
    | ^(use|uses|allows|should|must|can|show|hide|enable|supports|accept|accepts|skip|forgot)-
    | ^(max|min|num|number-of|total|prompt|completion|input|output|remaining|reasoning|cached)
        (-\w+)?-tokens$
    | ^(next|previous|page|next-page|continuation)-(page-)?token$
    | (?<!access)-key-id$
    | -(counts?|counter|used|usage|total|limits?|length|size|at|on|date|time|timeout|age|ttl|last
        |expires?|expires-in|expiry|expiration|expired|lifetime|duration|types?|kind|names?|label
        |fields?|policy|policies|strategy|status|enabled|disabled|required|requested|sent|optional
        |valid|invalid|verified|validated|changed|changes|updated|created|deleted|rotated|rotation
        |revoked|issued|version|providers?|methods?|mode|endpoint|strength|score|attempts?
        |fail(ed|ures?)|errors?|algorithm|alg|format|prefix|min|max|budget|cost|price|consent
        |banner|preferences?|notice|domain|path|manager|scopes?|issuer|brand|network|country|owner
        |generator|validator|rules?|requirements?|remaining|left|consumed|confirmed|reused|channel
        |protection|amount|masked|redacted|days|hours|minutes|seconds|ms
        |per-(second|minute|hour|day|month))$
    """,
    re.VERBOSE,
)


def to_words(key: str) -> str:
    """The words of a key in lower case, with a hyphen between two."""
    return "-".join(word for word in BETWEEN_WORDS.split(key) if word).lower()


class SecretKeys:
    """The keys of secrets, with those of a project: `more` are masked and `readable` are not."""

    def __init__(self, more: Iterable[str] = (), readable: Iterable[str] = ()) -> None:
        self._more = [f"-{to_words(key)}-" for key in more]
        self._readable = {to_words(key) for key in readable}
        self._cached = lru_cache(4096)(self._is_secret)

    def __contains__(self, key: str) -> bool:
        return (self._cached if len(key) <= MAX_CACHED_LENGTH else self._is_secret)(key)

    def _is_secret(self, key: str) -> bool:
        words = to_words(key)
        if words in self._readable:
            return False
        if any(own in f"-{words}-" for own in self._more):
            return True
        return bool(SECRET.search(words)) and not DESCRIPTION.search(words)
