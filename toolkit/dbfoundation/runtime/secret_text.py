"""Credentials within text: each is replaced, and the text around it stays.

Recognized by their form: the value of a secret's key in a query string, a form, a header, a cookie,
JSON or XML; the password of a URL; `Bearer …` and `Basic …`; a JWT; a PEM private key; a token with
a prefix that its issuer documents; a card number. Where the end of a value is not clear, more is
replaced rather than less. A caller may have the text from a request: each pattern takes time that
is linear in its length, by possessive quantifiers and limits on what is repeated.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from dbfoundation.runtime.secret_keys import SecretKeys

MASK = "[masked]"
# How often one text is percent-decoded: a URL in a URL in a URL.
DECODINGS = 3

NAME = re.compile(
    r"""
    (?P<quote>["'])?+ (?<![\w.\-\[\]%]) (?P<name>[\w.\-\[\]%]++) (?:\\{0,9}["'])?+
    [ \t]*+ (?P<sign> ={1,3}+>? | : (?![:/]) ) [ \t]*+
    """,
    re.VERBOSE,
)
# The last group is what is replaced: without its quotes, but with a scheme such as Bearer.
VALUE = re.compile(
    r"""
    "(?P<double>(?:\\.|[^"\\])*+)
    | '(?P<single>(?:\\.|''|[^'\\])*+)
    | (?P<escaped>\\+["'])(?P<inner>.*?)(?:(?<!\\)(?P=escaped)|\Z)
    | (?P<structure>[\[{](?!masked\]).*)
    | (?P<bare>(?:(?:Bearer|Basic|Digest|Token|ApiKey|Negotiate)[ ]+)? [^\s&"']
        (?:[^\s&;,"'<>)\]}] | (?<=\[masked)\] | [;,"'<>)\]}](?![\s,;&<>/)\]}]|\Z))*+)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# The value of a header ends with its line, or with a quote that begins before its name.
HEADER = re.compile(r"authorization|cookie|\w+(?:-\w+)++", re.IGNORECASE)
HEADER_VALUE = {quote: re.compile(rf"(?P<line>[^\r\n{quote}]++)") for quote in ("", '"', "'")}
# What follows a colon in the name of an action or a scope, as in `token:revoke`, or in a sentence.
STATE = re.compile(
    "(access|add|admin|all|change|check|close|confirm|create|delete|deny|destroy|disable|enable|end"
    "|expire|export|fail|generate|grant|import|invalid|issue|list|login|logout|manage|missing|open"
    "|read|refresh|remove|renew|request|require|reset|revoke|rotate|send|sent|set|start|stop|update"
    "|use|validate|verify|view|write)(d|ed|s)?[.]?"
)
ELEMENT = re.compile(r"(?P<start><(?P<name>[\w:.\-]++)(?:\s[^<>]*+)?>)[^<]++(?=</)")
PART = re.compile(
    r'(?P<start>name="(?P<name>[^"\n]{1,200}+)"[^\n]{0,300}+\n(?:[^\r\n]{1,300}+\r?\n){0,5}+\r?\n)'
    r".*?(?=\r?\n--|\Z)",
    re.DOTALL,
)
# Not the port of `host:80/@name`. A user without a password is a token if the name is long.
URL = re.compile(
    r"""
    (?<=://) (?:
        (?P<user>[^\s/?#@:"'<>]{0,300}+:) (?!\d{0,5}+(?:[/?#\s]|\Z))
        (?:[^\s/?#"'<>]{1,500} | [^\s@"'<>]{1,500})
        | [^\s/?#@:"'<>]{16,300}+
    ) (?=@)
    """,
    re.VERBOSE,
)
# The code of an OAuth callback, which has a state, too; any other `code` is harmless.
OAUTH_CODE = re.compile(r"(?<=[?&]code=)[^\s&#]++")
# Parts of all forms, as literals only, for which re scans several times faster than for the forms.
HINT = re.compile(
    "r |R |c |C |eyJ|-----BEGIN|ghp_|gho_|ghu_|ghs_|ghr_|github_pat_|gl|xox|xapp-|k_live_|k_test_"
    "|whsec_|npm_|pypi-|AIza"
)
FORMS = re.compile(
    r"""
    (?P<key>-----BEGIN\ [A-Z0-9 ]{0,30}PRIVATE\ KEY[A-Z ]{0,10}-----
        (?:.*?-----END\ [A-Z0-9 ]{0,50}-----|.*))
    | \b(?P<scheme>(?i:bearer|basic)[ ]+) (?P<credentials>[\w.~+/=\-]++) (?!(?<==)")
    | (?<![\w\-]) (?P<jwt>eyJ[\w\-]{4,}+(?:\.[\w\-]*+)++)
    | (?<![A-Za-z0-9]) (?P<token>(?:
        gh[pousr]_ | github_pat_ | gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat)-
        | xox[a-z]- | xapp- | [rs]k_(?:live|test)_ | whsec_
        | npm_(?=[A-Za-z0-9]{30}) | pypi-(?=Ag) | AIza)[\w.\-]{16,}+)
    """,
    re.VERBOSE | re.DOTALL,
)
# 15 or 16 digits of an issuer's range.
CARD = re.compile(r"[3-6](?<![\w.\-].)(?:[ \-]?\d){14,15}+(?!\w)")
# What follows the name of a scheme in a sentence, and not in a header.
PROSE = re.compile(r"[A-Za-z]?[a-z]{0,14}[.]?")
NAMES_SCHEME = re.compile(r"(?:tokens?|auth|authentication|authorization)\b", re.IGNORECASE)
LOOKS_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z]).{6,}|.+[=+/].*")


def mask_text(text: str, keys: SecretKeys, decodings: int = DECODINGS) -> str:
    """The text with each credential replaced; `keys` are those of secrets.

    Percent-encoded text is decoded where that reveals a credential.
    """
    masked = _mask_once(text, keys)
    if not decodings or "%" not in masked or (decoded := unquote(masked)) == masked:
        return masked
    decoded = decoded.replace("\0", "\ufffd")  # PostgreSQL cannot hold a NUL character
    revealed = mask_text(decoded, keys, decodings - 1)
    return masked if revealed == decoded else revealed


def _mask_once(text: str, keys: SecretKeys) -> str:
    if "=" in text or ":" in text or "<" in text:
        text = _mask_named(text, keys)
    if HINT.search(text):
        text = FORMS.sub(_mask_form, text)
    return CARD.sub(_mask_card, text)


def _mask_named(text: str, keys: SecretKeys) -> str:
    """The text with the passwords of URLs replaced, and all that has the name of a secret."""

    def mask_content(found: re.Match[str]) -> str:
        return found["start"] + MASK if found["name"] in keys else found[0]

    if "://" in text:
        text = URL.sub(lambda found: (found["user"] or "") + MASK, text)
    if "state=" in text:
        text = OAUTH_CODE.sub(MASK, text)
    text = _mask_pairs(text, keys)
    if "</" in text:
        text = ELEMENT.sub(mask_content, text)
    return PART.sub(mask_content, text) if 'name="' in text else text


def _mask_pairs(text: str, keys: SecretKeys) -> str:
    """The text with the values of secrets replaced, each after its name and a sign."""
    parts: list[str] = []
    end = 0
    for name in NAME.finditer(text):
        if name.start() < end or name["name"] not in keys:
            continue
        is_header = name["sign"] == ":" and HEADER.fullmatch(name["name"])
        pattern = HEADER_VALUE[name["quote"] or ""] if is_header else VALUE
        value = pattern.match(text, name.end()) or VALUE.match(text, name.end())
        if value and not _is_state(name, value):
            start, end_of_value = value.span(value.lastindex or 0)
            parts += text[end:start], MASK
            end = end_of_value
    return "".join([*parts, text[end:]])


def _is_state(name: re.Match[str], value: re.Match[str]) -> bool:
    """Whether an action or a state follows the colon; in a header, a space and any text do."""
    is_spaced_header = name[0].endswith(" ") and HEADER.fullmatch(name["name"])
    return name["sign"] == ":" and not is_spaced_header and bool(STATE.fullmatch(value[0]))


def _mask_form(found: re.Match[str]) -> str:
    if not found["scheme"]:
        return MASK
    return found["scheme"] + MASK if _is_credential(found) else found[0]


def _mask_card(found: re.Match[str]) -> str:
    """The mask where the check digit is that of a card number (ISO/IEC 7812-1)."""
    digits = [int(character) for character in reversed(found[0]) if character.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    is_card = (sum(digits[::2]) + sum(doubled)) % 10 == 0
    return MASK if is_card else found[0]


def _is_credential(found: re.Match[str]) -> bool:
    """Whether a header has this text after the scheme, as opposed to a sentence."""
    text = found["credentials"]
    if found["scheme"].lower().startswith("basic"):
        return _is_basic(text) or bool(LOOKS_RANDOM.fullmatch(text))
    if found[0] == found.string:
        return not NAMES_SCHEME.fullmatch(text)
    return not PROSE.fullmatch(text)


def _is_basic(text: str) -> bool:
    """Whether the text is a user and a password in base64 (RFC 7617)."""
    try:
        return b":" in b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False
