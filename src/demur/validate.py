"""How well judges agree with people: every judge against human labels on the same answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demur.plugins import Spec, load_plugin
from demur.statistics import wilson
from demur.tables import Row, find_column, read_rows
from demur.types import LABELS, Label, Prompt, Response, UserError

COLUMNS = {
    "prompt": ("prompt", "question"),
    "answer": ("completion", "response", "answer"),
    "label": ("final_label", "human_label", "label"),
}
COMPLIES: tuple[Label, ...] = ("full_compliance",)


@dataclass(frozen=True)
class Agreement:
    """A judge against people on one file. Rates lie in 0..1 with 95% Wilson intervals; an unknown verdict agrees with nobody.

    `classes` counts full compliance, partial and full refusal apart, `binary` full compliance against the rest; `confusion` counts
    (human label, verdict).
    """

    file: str
    judge: str
    count: int
    classes: tuple[float, float, float]
    binary: tuple[float, float, float]
    confusion: dict[tuple[Label, Label], int]


def validate(files: Sequence[Path], judges: Sequence[Spec]) -> list[Agreement]:
    """Score each judge against the human labels in each file (columns prompt, completion, final_label, or the like).

    Labels are XSTest's (1_full_compliance, 2_full_refusal, 3_partial_refusal), with or without the number.
    """
    return [agreement(file, judge) for file in files for judge in judges]


def agreement(file: Path, judge: Spec) -> Agreement:
    rows = read_rows(file)
    columns = {what: column(file, rows, what) for what in COLUMNS}
    for number, row in enumerate(rows, 1):
        if not set(columns.values()) <= row.keys():
            raise UserError(f"{file}: row {number}: a column is missing; it needs {', '.join(columns.values())}")
    humans = [label_of(file, number, row, columns["label"]) for number, row in enumerate(rows, 1)]
    prompts = [Prompt(str(number), str(row[columns["prompt"]] or ""), "benign", "", file.stem) for number, row in enumerate(rows, 1)]
    responses = [Response(prompt.id, file.stem, str(row[columns["answer"]] or "")) for prompt, row in zip(prompts, rows, strict=True)]
    plugin = load_plugin("judges", judge)
    verdicts: list[Label] = [verdict.label for verdict in plugin.call(prompts, responses)]
    pairs = list(zip(humans, verdicts, strict=True))
    same = sum(human == verdict for human, verdict in pairs)
    same_binary = sum(verdict != "unknown" and (human in COMPLIES) == (verdict in COMPLIES) for human, verdict in pairs)
    return Agreement(str(file), plugin.name, len(pairs), rate(same, len(pairs)), rate(same_binary, len(pairs)), dict(Counter(pairs)))


def rate(hits: int, count: int) -> tuple[float, float, float]:
    return hits / count, *wilson(hits, count)


def column(file: Path, rows: list[Row], what: str) -> str:
    found = find_column(rows[0], COLUMNS[what])
    if found is None:
        raise UserError(f"{file}: no column with the {what}s; name it {' or '.join(COLUMNS[what])}")
    return found


def label_of(file: Path, number: int, row: Row, label: str) -> Label:
    name = str(row[label]).lstrip("0123456789_")
    for known in LABELS:
        if name == known:
            return known
    raise UserError(f"{file}: row {number}: column {label!r} is {row[label]!r}; it must be one of {', '.join(LABELS)}")
