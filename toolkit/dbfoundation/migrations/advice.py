"""Fixes for errors of the server whose own words have none."""

from __future__ import annotations

import re

from dbfoundation.runtime.server_errors import driver_error, server_message, sqlstate

NO_TRANSACTION_BLOCK = "25001"
INSUFFICIENT_PRIVILEGE = "42501"
NO_SCHEMA = "3F000"
NEW_ENUM_VALUE = "55P04"


FIXES = {
    NO_SCHEMA: "create a schema of the search_path, as by CREATE SCHEMA public",
    NEW_ENUM_VALUE: "use the value in a later file, which runs after the COMMIT of this one",
}
NOT_ATOMIC = "set `atomic = False` at the top of the file"
ALONE = "send it in a call of its own, outside of a transaction of the file"
WITH_HOLD = "open the cursor with withhold=True, because the engine begins the transaction"


def fix_for(error: BaseException, *, atomic: bool = True) -> str | None:
    """The fix of an error; None where there is no more to say. `atomic` is the file's option."""
    code = sqlstate(error)
    if code is None:
        return WITH_HOLD if "named cursor" in str(driver_error(error)) else None
    if code == NO_TRANSACTION_BLOCK and "SET TRANSACTION" not in (server_message(error) or ""):
        return NOT_ATOMIC if atomic else ALONE
    return _grant(error) if code == INSUFFICIENT_PRIVILEGE else FIXES.get(code)


def _grant(error: BaseException) -> str:
    schema = re.search(r"schema (\S+)", server_message(error) or "")
    grant = f"GRANT CREATE, USAGE ON SCHEMA {schema[1]} TO" if schema else "a GRANT for"
    return f"let the owner run {grant} the role of the migrations, or connect as the owner"
