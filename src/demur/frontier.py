"""Over-refusal against attack success: which models no other one beats, and which one refuses least within a bound"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from demur.aggregate import by_suite
from demur.types import Score


@dataclass(frozen=True)
class Point:
    """What one model reached; rates in 0..1. `over_refusal` and `utility` are the mean refusal and compliance over the harmless suites
    without an attack, `attack_success` the mean over the harmful suites by attack; None: nothing could be counted."""

    over_refusal: float | None
    attack_success: dict[str, float | None]
    utility: float | None

    def worst(self, attacks: Iterable[str]) -> float | None:
        """The attack success of the attack that succeeds most often; None where one could not be counted."""
        rates = [self.attack_success.get(attack) for attack in attacks]
        known = [rate for rate in rates if rate is not None]
        return max(known) if known and len(known) == len(rates) else None


def point(scores: Sequence[Score]) -> Point:
    """The point of one model, by the first judge that scored it; harmless prompts count under the first attack alone.

    Where lm_eval measured something, `utility` is its mean instead. Raises ValueError where a suite has two rates of one kind.
    """
    judged = [row for row in scores if row.metric in ("refusal_rate", "compliance_rate", "attack_success_rate")]
    rows = [row for row in judged if row.judge == judged[0].judge]
    attacks = list(dict.fromkeys(row.attack for row in rows))
    harmful = {row.suite for row in rows if row.metric == "attack_success_rate"}
    tasks = [row.value for row in scores if row.judge == "lm_eval"]

    def rates(metric: str, attack: str, of: bool) -> list[float | None]:
        return [
            score.value
            for suite, score in by_suite([row for row in rows if row.attack == attack], metric).items()
            if (suite in harmful) == of
        ]

    success = {attack: mean(found) for attack in attacks if (found := rates("attack_success_rate", attack, True))}
    utility = mean(tasks or rates("compliance_rate", attacks[0], False))
    return Point(mean(rates("refusal_rate", attacks[0], False)), success, utility)


def mean(values: Sequence[float | None]) -> float | None:
    """None where one of them is, and where there are none."""
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def pareto(points: Mapping[str, Sequence[float]]) -> list[str]:
    """Those that no other beats, of numbers that are better the lower they are: none is as low in all and lower in one."""

    def beaten(name: str) -> bool:
        pairs = [list(zip(other, points[name], strict=True)) for other in points.values()]
        return any(all(a <= b for a, b in each) and any(a < b for a, b in each) for each in pairs)

    return [name for name in points if not beaten(name)]


def pick(points: Mapping[str, Sequence[float]], limits: Sequence[float]) -> str:
    """The one with the lowest first number among those whose other numbers keep their `limits`; where none does, the one nearest to them.
    Raises ValueError where there is no point."""

    def over(name: str) -> float:
        return sum(max(number - limit, 0.0) for number, limit in zip(points[name][1:], limits, strict=True))

    return min(points, key=lambda name: (over(name), *points[name]))
