"""Figures by round, their medians and ratios, as Markdown tables and as JSON."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

OURS = "this project"
T = TypeVar("T")


class BenchError(Exception):
    """Raised when a tool cannot be installed or run, or did not do its work."""


def rotate(items: Sequence[T], number: int) -> list[T]:
    """The items in the order of a round: in each round, another one is the first."""
    first = number % len(items)
    return [*items[first:], *items[:first]]


@dataclass(frozen=True)
class Figure:
    """A quantity with its unit, the case, and the tool."""

    quantity: str
    case: str
    tool: str = OURS


@dataclass(frozen=True)
class Target:
    """A bound for the ratio of two figures: at most, or at least."""

    over: Figure
    under: Figure
    bound: float
    at_least: bool = False

    def met(self, ratio: float | None) -> bool | None:
        """Whether a ratio keeps the bound; None for a ratio that was not measured."""
        if ratio is None:
            return None
        return ratio >= self.bound if self.at_least else ratio <= self.bound

    def __str__(self) -> str:
        names = [] if self.under.case == self.over.case else [self.under.case]
        names += [] if self.under.tool == self.over.tool else [self.under.tool]
        return f"{self.over.case} / {' of '.join(names)}"


class Results:
    """One number a round for each figure; every round has the same figures."""

    def __init__(self) -> None:
        self.rounds: dict[Figure, list[float]] = defaultdict(list)

    def add(self, quantity: str, case: str, tool: str, number: float) -> None:
        self.rounds[Figure(quantity, case, tool)].append(number)

    def ratio(self, over: Figure, under: Figure) -> float | None:
        """The median of the rounds' ratios; None when a figure was not measured.

        The speed of a shared machine changes by the hour. Both numbers of one round are measured
        within minutes, so their ratio changes less than the medians of all rounds.
        """
        if over not in self.rounds or under not in self.rounds:
            return None
        pairs = zip(self.rounds[over], self.rounds[under], strict=True)
        return median(number / other for number, other in pairs)

    def tables(self) -> Iterator[str]:
        """A Markdown table for each quantity: one line a case, one column a tool.

        A cell has the median, and in brackets the ratio to this project's figure.
        """
        for quantity in dict.fromkeys(figure.quantity for figure in self.rounds):
            figures = [figure for figure in self.rounds if figure.quantity == quantity]
            tools = list(dict.fromkeys(figure.tool for figure in figures))
            yield f"| {quantity} | {' | '.join(tools)} |"
            yield f"|---|{'---:|' * len(tools)}"
            for case in dict.fromkeys(figure.case for figure in figures):
                cells = (self._cell(Figure(quantity, case, tool)) for tool in tools)
                yield f"| {case} | {' | '.join(cells)} |"
            yield ""

    def _cell(self, figure: Figure) -> str:
        if figure not in self.rounds:
            return ""
        ratio = self.ratio(figure, replace(figure, tool=OURS))
        bracket = "" if ratio is None or figure.tool == OURS else f" ({ratio:.2f})"
        return f"{median(self.rounds[figure]):,.0f}{bracket}"

    def verdicts(self, targets: Iterable[Target]) -> Iterator[str]:
        """A Markdown table of the targets, including those that were not measured."""
        yield "| ratio | measured | bound | |"
        yield "|---|---:|---:|---|"
        for target in targets:
            ratio = self.ratio(target.over, target.under)
            measured = "" if ratio is None else f"{ratio:.2f}"
            bound = f"{'≥' if target.at_least else '≤'} {target.bound}"
            verdict = {True: "met", False: "missed", None: "not measured"}[target.met(ratio)]
            yield f"| {target} | {measured} | {bound} | {verdict} |"
        yield ""

    def json(self) -> list[dict[str, Any]]:
        return [
            {**asdict(figure), "median": median(rounds), "rounds": rounds}
            for figure, rounds in self.rounds.items()
        ]

    def targets_json(self, targets: Iterable[Target]) -> list[dict[str, Any]]:
        return [
            {"name": str(target), "bound": target.bound, "at_least": target.at_least}
            | {"measured": ratio, "met": target.met(ratio)}
            for target in targets
            for ratio in [self.ratio(target.over, target.under)]
        ]
