"""XSTest: 250 safe prompts that look unsafe, 200 unsafe contrasts (arXiv 2308.01263)"""

from dataclasses import dataclass
from typing import Literal

from demur.suites._source import Source, rows_of
from demur.tables import column_of, text_of
from demur.types import Kind, Prompt, UserError

SOURCE = Source("Paul/XSTest", "train", "xstest_prompts.csv", "CC-BY-4.0", "Röttger et al. 2024, XSTest, NAACL")


@dataclass(frozen=True)
class Config:
    part: Literal["all", "safe", "unsafe"] = "all"
    """Which prompts: the safe ones, their unsafe contrasts, or both."""
    data: str = ""
    """Local copy (file, or folder that holds it); empty: from the Hub."""


def load(config: Config) -> list[Prompt]:
    where, rows = rows_of(SOURCE, config.data)
    text, label, kind, number = (column_of(where, rows, name) for name in ("prompt", "label", "type", "id"))
    prompts = []
    for index, row in enumerate(rows, 1):
        if row[label] not in ("safe", "unsafe"):
            raise UserError(f"{where}: row {index}: column {label!r} is {row[label]!r}; it must be safe or unsafe")
        suite = f"xstest/{row[label]}"
        if config.part in ("all", row[label]):
            truth: Kind = "pseudo_harmful" if row[label] == "safe" else "harmful"
            prompts.append(Prompt(f"{suite}/{row[number]}", text_of(where, index, row, text), truth, row[kind], suite))
    return prompts
