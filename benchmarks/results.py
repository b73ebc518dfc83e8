"""What was measured: figures by round, their medians and ratios, as tables and as JSON."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OURS = "this project"


class BenchError(Exception):
    """Raised when something that is measured did not do its work."""


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

    def met(self, ratio: float) -> bool:
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
        """The median of the rounds' ratios, which a slow minute of the machine leaves alone.

        None where one of both was not measured.
        """
        pairs = zip(self.rounds.get(over, ()), self.rounds.get(under, ()), strict=False)
        ratios = [first / second for first, second in pairs]
        return median(ratios) if ratios else None

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
        """A table of the targets that were measured."""
        yield "| ratio | measured | bound | |"
        yield "|---|---:|---:|---|"
        for target, ratio in self._measured(targets):
            bound = f"{'≥' if target.at_least else '≤'} {target.bound}"
            verdict = "met" if target.met(ratio) else "missed"
            yield f"| {target} | {ratio:.2f} | {bound} | {verdict} |"
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
            for target, ratio in self._measured(targets)
        ]

    def _measured(self, targets: Iterable[Target]) -> Iterator[tuple[Target, float]]:
        for target in targets:
            ratio = self.ratio(target.over, target.under)
            if ratio is not None:
                yield target, ratio
