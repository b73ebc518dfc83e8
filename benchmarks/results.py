"""What was measured: figures by round, their medians and ratios, as tables and as JSON."""

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
    """Raised when something that is measured did not do its work."""


def in_turn(items: Sequence[T], number: int) -> list[T]:
    """The items in the order of the round of this number: each is the first one in its turn."""
    first = number % len(items)
    return [*items[first:], *items[:first]]


@dataclass(frozen=True)
class Figure:
    """What is measured, in its unit; of what; and of which tool."""

    quantity: str
    case: str
    tool: str = OURS


@dataclass(frozen=True)
class Target:
    """A bound of the ratio between two figures: at most, or at least."""

    over: Figure
    under: Figure
    bound: float
    at_least: bool = False

    def met(self, ratio: float | None) -> bool | None:
        """Whether a ratio keeps the bound; None for one that was not measured."""
        if ratio is None:
            return None
        return ratio >= self.bound if self.at_least else ratio <= self.bound

    def __str__(self) -> str:
        told = [] if self.under.case == self.over.case else [self.under.case]
        told += [] if self.under.tool == self.over.tool else [self.under.tool]
        return f"{self.over.case} / {' of '.join(told)}"


class Results:
    """A number a round for each figure; every round has the same figures."""

    def __init__(self) -> None:
        self.rounds: dict[Figure, list[float]] = defaultdict(list)

    def add(self, quantity: str, case: str, tool: str, number: float) -> None:
        self.rounds[Figure(quantity, case, tool)].append(number)

    def ratio(self, over: Figure, under: Figure) -> float | None:
        """The ratio of the two medians, as they are shown; None where one was not measured."""
        if over not in self.rounds or under not in self.rounds:
            return None
        return median(self.rounds[over]) / median(self.rounds[under])

    def tables(self) -> Iterator[str]:
        """A table a quantity in Markdown: a case a line, a tool a column.

        A cell has the median, and in brackets how many times this project's it is.
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
        share = "" if ratio is None or figure.tool == OURS else f" ({ratio:.2f})"
        return f"{median(self.rounds[figure]):,.0f}{share}"

    def judged(self, targets: Iterable[Target]) -> Iterator[str]:
        """A table of the targets, with those whose figures were not measured."""
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
