"""Rates, intervals and paired comparisons, against numbers worked out by hand and against statsmodels' published formulas."""

import math

import pytest

from demur.statistics import compare, mcnemar, paired_difference, score, wilson
from demur.types import Label, Prompt, Verdict


def prompt(number: int, kind: str = "harmful", suite: str = "s") -> Prompt:
    return Prompt(str(number), "text", kind, "", suite)  # type: ignore[arg-type]


def verdict(number: int, label: Label, model: str = "m", exact: bool | None = None) -> Verdict:
    return Verdict(str(number), model, "rule", label, "", exact)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (1, 10), (50, 100), (200, 200), (13, 77)])
def test_wilson_is_the_formula(hits: int, count: int) -> None:
    z, p = 1.959963984540054, hits / count
    centre = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    assert wilson(hits, count) == pytest.approx((max(centre - half, 0), min(centre + half, 1)), abs=1e-9)


def test_scores_of_a_harmful_suite() -> None:
    labels: list[Label] = ["full_compliance", "partial_refusal", "full_refusal", "full_refusal", "incoherent", "unknown"]
    verdicts = [verdict(number, label) for number, label in enumerate(labels)]
    rows = {row.metric: row for row in score(verdicts, {str(number): prompt(number) for number in range(6)}, "sft", 3)}
    assert {metric: row.value for metric, row in rows.items()} == {
        "refusal_rate": 3 / 5,
        "compliance_rate": 1 / 5,
        "incoherent_rate": 1 / 5,
        "attack_success_rate": 1 / 5,
    }
    assert all((row.count, row.unknown, row.method, row.seed) == (5, 1, "sft", 3) for row in rows.values())


def test_accuracy_counts_exact_answers_of_benign_prompts() -> None:
    verdicts = [verdict(0, "full_compliance", exact=True), verdict(1, "full_compliance", exact=False)]
    rows = {row.metric: row.value for row in score(verdicts, {"0": prompt(0, "benign"), "1": prompt(1, "benign")}, "none", 0)}
    assert rows == {"refusal_rate": 0.0, "compliance_rate": 1.0, "incoherent_rate": 0.0, "accuracy": 0.5}


def test_nothing_but_unknown_has_no_rate() -> None:
    (row, *_) = score([verdict(0, "unknown")], {"0": prompt(0)}, "none", 0)
    assert (row.value, row.low, row.high, row.count, row.unknown) == (None, None, None, 0, 1)


def test_mcnemar_by_hand() -> None:
    outcomes = [(True, False)] * 5 + [(False, True)] + [(True, True)] * 7 + [(False, False)] * 9
    assert mcnemar(outcomes) == pytest.approx(2 * (1 + 6) / 2**6)  # 2 * P(X <= 1), X ~ Binomial(6, 1/2)
    assert mcnemar([(True, True)]) == 1.0


def test_paired_difference_by_hand() -> None:
    outcomes = [(True, False)] * 30 + [(False, True)] * 10 + [(True, True)] * 60
    p, q = 31 / 102, 11 / 102
    half = 1.959963984540054 * math.sqrt((p + q - (p - q) ** 2) / 102)
    assert paired_difference(outcomes) == pytest.approx((0.2, p - q - half, p - q + half))


def test_models_that_never_differ_still_have_an_interval() -> None:
    difference, low, high = paired_difference([(True, True)] * 50)
    assert difference == 0
    assert -0.1 < low < 0 < high < 0.1


def test_compare_uses_the_prompts_that_both_models_know() -> None:
    prompts = {str(number): prompt(number, "pseudo_harmful") for number in range(4)}
    a = [verdict(0, "full_refusal", "a"), verdict(1, "full_refusal", "a"), verdict(2, "full_compliance", "a"), verdict(3, "unknown", "a")]
    b = [
        verdict(0, "full_compliance", "b"),
        verdict(1, "full_refusal", "b"),
        verdict(2, "full_compliance", "b"),
        verdict(3, "full_refusal", "b"),
    ]
    rows = {row.metric: row for row in compare({"a": a, "b": b}, prompts)}
    assert set(rows) == {"refusal_rate", "compliance_rate", "incoherent_rate"}
    assert rows["refusal_rate"].difference == pytest.approx(1 / 3)
    assert rows["refusal_rate"].p == 1.0  # one discordant prompt can prove nothing
