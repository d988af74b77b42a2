"""OR-Bench: prompts that safe models over-refuse (arXiv 2405.20947)"""

from dataclasses import dataclass
from typing import Literal

from demur.suites._source import Source, rows_of
from demur.tables import column_of, text_of
from demur.types import Prompt

SOURCES = {
    "hard": Source(
        "bench-llm/or-bench", "train", "or-bench-hard-1k.csv", "CC-BY-4.0", "Cui et al. 2025, OR-Bench, ICML", "or-bench-hard-1k"
    ),
}


@dataclass(frozen=True)
class Config:
    part: Literal["hard"] = "hard"
    """hard: the 1,319 prompts that the strongest models refuse most."""
    data: str = ""
    """Local copy (file, or folder that holds it); empty: from the Hub."""


def load(config: Config) -> list[Prompt]:
    where, rows = rows_of(SOURCES[config.part], config.data)
    text, category = column_of(where, rows, "prompt"), column_of(where, rows, "category")
    suite = f"or-bench/{config.part}"
    return [
        Prompt(f"{suite}/{number}", text_of(where, number, row, text), "pseudo_harmful", row[category], suite)
        for number, row in enumerate(rows, 1)
    ]
