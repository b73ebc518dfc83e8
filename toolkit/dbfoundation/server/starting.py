"""Starting a server: by the provider that has the project's data, or by the first that can.

Data that are there and cannot be used now are a refusal with a fix, never a reason to try the next
provider: its database would be empty. A server that recovers is not stopped, however long it takes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dbfoundation.errors import (
    AccessDeniedError,
    DatabaseError,
    NoDatabaseError,
    ServerError,
    StartingError,
    UnavailableError,
)
from dbfoundation.server import databases
from dbfoundation.server.waiting import wait_for_answer

if TYPE_CHECKING:
    from dbfoundation.server.memory import Memory
    from dbfoundation.server.processes import Report
    from dbfoundation.server.provider import Provider
    from dbfoundation.settings import Settings

# A server of this project that answers nothing, not even that it is starting, is silent.
SILENCE_SECONDS = 60.0
INCOMPLETE = (
    "the first start of its data was interrupted or failed, and they are incomplete.\n"
    "Fix: `invoke db-down --remove-data` removes them; then run `invoke db-up` again."
)


class Starter:
    """Starts a server at the settings' address by one of the providers."""

    def __init__(
        self, settings: Settings, report: Report, providers: dict[str, Provider], memory: Memory
    ) -> None:
        self.settings = settings
        self.report = report
        self.providers = providers
        self.memory = memory

    def start(self, via: str | None) -> str:
        """Start a server and wait until it answers; returns the key of its provider.

        Raises ServerError or a DatabaseError.
        """
        if not self.settings.url.password:
            raise ServerError("the server needs a password.\nFix: set DB_PASSWORD.")
        if via is None and (holder := self._holder()):
            self._start_holder(holder)
            return holder
        return self._start_first_possible({via: self.providers[via]} if via else self.providers)

    def can_go_on(self, provider: Provider, error: UnavailableError) -> bool:
        """Whether a server that does not answer yet may do so later.

        With incomplete data it would crash and recover for ever.
        """
        if isinstance(error, StartingError) and self._is_incomplete(provider):
            return False
        return provider.port() is not None

    def _is_incomplete(self, provider: Provider) -> bool:
        """Whether the data's first start was interrupted: never, once their server answered."""
        key, place = self.memory.read()
        if self.providers.get(key) is provider and place in ("", provider.place()):
            return False
        return provider.is_incomplete()

    def _holder(self) -> str | None:
        """The key of the provider that has this project's data; None where there are no data."""
        key, place = self.memory.read()
        if provider := self.providers.get(key):
            current = provider.place()
            if provider.holds(current) is not False:
                return key
            if place and place != current and (fix := provider.move_fix(place)):
                raise ServerError(
                    f"this project's data are in {place}, and not in {current}.\n"
                    f"Fix: {fix}; or run `invoke db-up --via {key}` for new, empty data."
                )
        holders = [key for key, other in self.providers.items() if other.holds(other.place())]
        if len(holders) > 1:
            places = " and in ".join(f"{self.providers[key].place()}" for key in holders)
            flags = " or ".join(f"`invoke db-up --via {key}`" for key in holders)
            raise ServerError(f"this project has data in {places}.\nFix: choose with {flags}.")
        return holders[0] if holders else None

    def _start_holder(self, key: str) -> None:
        """Start the server that has the data; raises ServerError with the ways out."""
        provider = self.providers[key]
        others = [f"`invoke db-up --via {other}`" for other in self.providers if other != key]
        new = [f"{' or '.join(others)} starts another server, with data of its own"] * bool(others)
        if reason := provider.unavailable_reason():
            fixes = "; or ".join([provider.advice, *new])
            raise ServerError(f"{provider.name} has this project's data: {reason}.\nFix: {fixes}.")
        try:
            self._start(provider)
        except ServerError as error:
            reason = f"{provider.name} has this project's data: {error}"
            fix = f"\nFix: correct that; or {new[0]}." if new and "\nFix: " not in reason else ""
            raise ServerError(reason + fix) from error

    def _start_first_possible(self, providers: dict[str, Provider]) -> str:
        """Start the server of the first provider that can; returns its key."""
        failures: list[str] = []
        for key, provider in providers.items():
            if failures:
                self.report(failures[-1])
            try:
                self._start(provider)
            except ServerError as error:
                if provider.port() is not None:
                    raise
                failures.append(f"{provider.name}: {error}")
            else:
                return key
        advice = []
        if all(provider.unavailable_reason() for provider in providers.values()):
            advice = [f"Fix: {'; or '.join(each.advice for each in providers.values())}."]
        raise ServerError("\n".join(["no server could be started.", *failures, *advice]))

    def _start(self, provider: Provider) -> None:
        """Start a server and wait until it answers; stops one that cannot, and raises why."""
        if reason := provider.unavailable_reason():
            raise ServerError(reason)
        is_new = provider.holds(provider.place()) is False
        if is_new and self.providers.get(self.memory.read()[0]) is provider:
            self.memory.clear()  # those data are gone
        self.report(f"starting PostgreSQL: {provider.name}{', with new data' * is_new}")
        try:
            provider.start(self.report)
            wait_for_answer(
                self.settings,
                self.report,
                silence_seconds=SILENCE_SECONDS,
                is_alive=lambda error: self.can_go_on(provider, error),
            )
        except NoDatabaseError:
            databases.create_database(self.settings)
        except (ServerError, DatabaseError) as error:
            raise self._failure(provider, error) from error

    def _failure(self, provider: Provider, error: ServerError | DatabaseError) -> Exception:
        """The error for a start that failed; the server is stopped unless it is at work."""
        reason = error.reason if isinstance(error, DatabaseError) else str(error)
        is_silent = isinstance(error, UnavailableError) and not isinstance(error, StartingError)
        if is_silent and provider.port() is not None:
            return ServerError(
                f"{provider.name} runs, and its server does not answer: {reason}\n"
                "Fix: run `invoke db-up` again to wait longer, or stop it with `invoke db-down`."
            )
        is_incomplete = self._is_incomplete(provider)
        log = self._stop_failed(provider)
        if is_incomplete:
            return ServerError(f"{reason}\nIts log ends: {log}\n{INCOMPLETE}")
        if isinstance(error, AccessDeniedError):
            return AccessDeniedError(
                reason,
                "the server's data were created with another user or password, and keep them. Use "
                "those; or remove the data with `invoke db-down --remove-data`.",
            )
        return ServerError(reason + (f"\nIts log ends: {log}" if log else ""))

    def _stop_failed(self, provider: Provider) -> str:
        """Stop a server that failed, and return the end of its log; suppresses a second failure."""
        with suppress(ServerError):
            log = provider.log()
            if provider.port() is not None:
                provider.stop(self.report)
            return log
        return ""
