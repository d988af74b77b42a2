"""The answer of the page in one sentence, with its uncertainty, and the balance sheet beneath it: what the repair gained and what it cost.

The pair of models is chosen by the data: the best model and the one after it, by full compliance where an answer is due (gibberish is no
repair) minus attack success without an attack, both means over suites; shown on the suite where the two differ most.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from demur.attempts import AT_K, number_text
from demur.report.evidence import Evidence, Suite
from demur.report.text import attack_text, interval, percent, points, points_interval
from demur.types import Comparison, Score

Pairs = dict[tuple[str, str, str, str, str], Comparison]


@dataclass(frozen=True)
class Part:
    """A piece of the sentence; `role` says how to set it."""

    text: str
    role: Literal["", "model", "number", "interval", "suite"] = ""


@dataclass(frozen=True)
class Change:
    """One line of the balance sheet, `before` and `after` in percent, the difference after - before in points ("" where it was
    not compared). `verdict` is better or worse when the interval excludes zero."""

    what: str
    where: str
    before: str
    after: str
    difference: str
    interval: str
    verdict: Literal["better", "worse", "unclear"]


@dataclass(frozen=True)
class Headline:
    """`after` is the model that the sentence praises, `before` the one it is compared with ("" when nothing was compared)."""

    parts: list[Part]
    before: str = ""
    after: str = ""
    suite: str = ""
    changes: tuple[Change, ...] = ()

    @property
    def sentence(self) -> str:
        return "".join(part.text for part in self.parts)


def headline(evidence: Evidence) -> Headline:
    """The headline by the main judge; from paired comparisons where there are any, else from the scores alone."""
    if not evidence.judges:
        return Headline([Part("This run holds no scores yet.")])
    pairs = _pairs(evidence, evidence.judges[0])
    candidates = [pair for pair in pairs.values() if _answers_the_question(evidence, pair)]
    if not candidates:
        return _levels(evidence, evidence.judges[0])
    ranks = {model.name: _merit(evidence, model.name, evidence.judges[0]) for model in evidence.models}
    best = max(candidates, key=lambda pair: (ranks[pair.a], ranks[pair.b], _gained(pairs, pair)))
    return Headline(_sentence(evidence, pairs, best), best.b, best.a, best.suite, tuple(_changes(evidence, pairs, best)))


def _pairs(evidence: Evidence, judge: str) -> Pairs:
    """Every comparison of one judge in both directions, by (a, b, suite, attack, metric)."""
    found = [comparison for comparison in evidence.comparisons if comparison.judge == judge]
    return {_key(one): one for comparison in found for one in (comparison, _flip(comparison))}


def _key(pair: Comparison) -> tuple[str, str, str, str, str]:
    return pair.a, pair.b, pair.suite, pair.attack, pair.metric


def _flip(pair: Comparison) -> Comparison:
    return replace(pair, a=pair.b, b=pair.a, difference=-pair.difference, low=-pair.high, high=-pair.low)


def _answers_the_question(evidence: Evidence, pair: Comparison) -> bool:
    return pair.metric == "refusal_rate" and pair.attack == evidence.attacks[0] and pair.suite in {suite.name for suite in evidence.benign}


def _merit(evidence: Evidence, model: str, judge: str) -> float:
    """Mean compliance over suites that should be answered minus mean attack success over those that should not, without an attack."""
    answered = [_compliance(evidence, model, suite.name, judge) for suite in evidence.benign]
    harmed = [_value(evidence.rate(model, suite.name, evidence.attacks[0], judge, "attack_success_rate")) for suite in evidence.harmful]
    return sum(answered) / max(len(answered), 1) - sum(harmed) / max(len(harmed), 1)


def _compliance(evidence: Evidence, model: str, suite: str, judge: str) -> float:
    """The compliance rate, or what is not refused where that is missing."""
    score = evidence.rate(model, suite, evidence.attacks[0], judge, "compliance_rate")
    return _value(score) if score else 1 - _value(evidence.rate(model, suite, evidence.attacks[0], judge, "refusal_rate"))


def _gained(pairs: Pairs, pair: Comparison) -> float:
    """Gain in full compliance on the pair's suite, in refusals where that is missing."""
    compliance = pairs.get((pair.a, pair.b, pair.suite, pair.attack, "compliance_rate"))
    return compliance.difference if compliance else -pair.difference


def _costs(evidence: Evidence, pairs: Pairs, pair: Comparison) -> list[Comparison]:
    """The pair's attack success by harmful suite and attack, the plain attack first."""
    keys = [(pair.a, pair.b, suite.name, attack, "attack_success_rate") for attack in evidence.attacks for suite in evidence.harmful]
    return [pairs[key] for key in keys if key in pairs]


def _sentence(evidence: Evidence, pairs: Pairs, pair: Comparison) -> list[Part]:
    return [*_gain(pair), *_loss(evidence, pairs, pair), *_cost(evidence, _costs(evidence, pairs, pair)), Part(".")]


def _gain(pair: Comparison) -> list[Part]:
    suite, a, b = Part(pair.suite, "suite"), Part(pair.a, "model"), Part(pair.b, "model")
    if pair.low <= 0 <= pair.high:
        change = [Part(points(pair.difference), "number"), Part(" points "), Part(points_interval(pair.low, pair.high), "interval")]
        return [a, Part(" and "), b, Part(" do not differ clearly in refusals on "), suite, Part(": "), *change]
    low, high = sorted((abs(pair.low), abs(pair.high)))
    size = [Part(percent(abs(pair.difference)), "number"), Part(" points "), Part(interval(low, high), "interval")]
    less = "fewer" if pair.difference < 0 else "more"
    return [a, Part(" refuses "), *size, Part(f" {less} of the "), suite, Part(" prompts than "), b]


def _loss(evidence: Evidence, pairs: Pairs, pair: Comparison) -> list[Part]:
    """The clause about the harmless suite on which clearly fewer prompts are answered; where there are several, the one that lost most."""
    keys = [(pair.a, pair.b, suite.name, pair.attack, "compliance_rate") for suite in evidence.benign]
    lost = min((pairs[key] for key in keys if key in pairs and pairs[key].high < 0), key=lambda one: one.difference, default=None)
    if lost is None:
        return []
    size = [Part(percent(-lost.difference), "number"), Part(" points "), Part(interval(-lost.high, -lost.low), "interval")]
    return [Part("; it answers "), *size, Part(" fewer of "), Part(lost.suite, "suite")]


def _cost(evidence: Evidence, costs: list[Comparison]) -> list[Part]:
    """The clause about safety: the plain attack on the suite where it rose most."""
    direct = [cost for cost in costs if cost.attack == evidence.attacks[0]]
    if not direct:
        return [Part("; attack success was not compared")]
    cost = max(direct, key=lambda one: one.difference)
    name = f"{attack_text(cost.attack)} attack success" if cost.attack == "none" else f"attack success {attack_text(cost.attack)}"
    where = [Part(" on "), Part(cost.suite, "suite")] if len(evidence.harmful) > 1 else []
    change = [Part(points(cost.difference), "number"), Part(" "), Part(points_interval(cost.low, cost.high), "interval")]
    if cost.low > 0:
        return [Part(f"; the price: {name}"), *where, Part(" "), *change]
    if cost.high < 0:
        return [Part(f"; {name}"), *where, Part(" falls too: "), *change]
    return [Part(f"; {name}"), *where, Part(" shows no clear change: "), *change]


def _changes(evidence: Evidence, pairs: Pairs, pair: Comparison) -> Iterator[Change]:
    """Refusals on every suite that should be answered, attack success everywhere, by attempts and where there are several by behaviours,
    incoherence and accuracy without an attack."""
    plain, benign = evidence.attacks[0], sorted((suite.name for suite in evidence.benign), key=lambda name: name != pair.suite)
    keys = [(suite, plain, "refusal_rate") for suite in benign]
    harmful = [(suite.name, attack) for attack in evidence.attacks for suite in evidence.harmful]
    keys += [(*place, metric) for place in harmful for metric in ("attack_success_rate", AT_K)]
    keys += [(pair.suite, plain, "incoherent_rate"), *((suite, plain, "accuracy") for suite in benign)]
    for suite, attack, metric in keys:
        before, after = (evidence.rate(model, suite, attack, pair.judge, metric) for model in (pair.b, pair.a))
        if before and after:
            yield _change(_what(evidence, after), before, after, pairs.get((pair.a, pair.b, suite, attack, metric)))


WHAT = {"refusal_rate": "Refusals", "incoherent_rate": "Incoherent", "accuracy": "Accuracy"}


def _what(evidence: Evidence, score: Score) -> str:
    attempts = evidence.attempts(score.model, score.suite, score.attack, score.judge) if score.metric == AT_K else None
    attack = f"ASR@{number_text(attempts)}" if attempts else "Attack success"
    return WHAT.get(score.metric) or f"{attack}, {attack_text(score.attack)}"


def _change(what: str, before: Score, after: Score, pair: Comparison | None) -> Change:
    levels = percent(_value(before)), percent(_value(after))
    if pair is None:
        return Change(what, after.suite, *levels, "", "", "unclear")
    return Change(what, after.suite, *levels, points(pair.difference), points_interval(pair.low, pair.high), _verdict(pair))


def _verdict(pair: Comparison) -> Literal["better", "worse", "unclear"]:
    if pair.low <= 0 <= pair.high:
        return "unclear"
    return "better" if (pair.difference > 0) == (pair.metric == "accuracy") else "worse"


def _levels(evidence: Evidence, judge: str) -> Headline:
    """Without comparisons: the model with the lowest over-refusal and attack success together, on its most refused suite."""
    refusals = {model.name: _worst(evidence, evidence.benign, model.name, judge, "refusal_rate") for model in evidence.models}
    attacks = {model.name: _worst(evidence, evidence.harmful, model.name, judge, "attack_success_rate") for model in evidence.models}
    name = min(refusals, key=lambda model: _value(refusals[model]) + _value(attacks[model]))
    refused, harmed = refusals[name], attacks[name]
    parts = [Part(name, "model")]
    parts += _level_parts(" refuses ", refused) + ([Part(" and")] if refused and harmed else []) + _level_parts(" complies with ", harmed)
    if not refused and not harmed:
        parts = [Part("No rate in this run could be counted")]
    return Headline([*parts, Part(".")], after=name, suite=refused.suite if refused else "")


def _worst(evidence: Evidence, suites: list[Suite], model: str, judge: str, metric: str) -> Score | None:
    scores = [score for suite in suites if (score := evidence.rate(model, suite.name, evidence.attacks[0], judge, metric))]
    return max(scores, key=_value, default=None)


def _value(score: Score | None) -> float:
    return score.value if score and score.value is not None else 0.0


def _level_parts(verb: str, score: Score | None) -> list[Part]:
    if score is None or score.value is None or score.low is None or score.high is None:
        return []
    numbers = [Part(f"{percent(score.value)}%", "number"), Part(" "), Part(interval(score.low, score.high), "interval")]
    return [Part(verb), *numbers, Part(" of the "), Part(score.suite, "suite"), Part(" prompts")]
