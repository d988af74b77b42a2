"""JailbreakBench: 100 harmful behaviours and 100 benign ones on the same themes (arXiv 2404.01318)"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from demur.suites._source import Source, rows_of
from demur.tables import column_of, text_of
from demur.types import Kind, Prompt, UserError

SOURCES = {
    part: Source(
        "JailbreakBench/JBB-Behaviors", part, f"{part}-behaviors.csv", "MIT", "Chao et al. 2024, JailbreakBench, NeurIPS", "behaviors"
    )
    for part in ("harmful", "benign")
}
KINDS: dict[str, Kind] = {"harmful": "harmful", "benign": "pseudo_harmful"}


@dataclass(frozen=True)
class Config:
    part: Literal["all", "harmful", "benign"] = "all"
    """Which behaviours."""
    data: str = ""
    """Local copy (file, or folder that holds it); empty: from the Hub."""


def load(config: Config) -> list[Prompt]:
    if config.part == "all" and Path(config.data).is_file():
        raise UserError(f"{config.data}: one file is one part of JailbreakBench; say jailbreakbench/harmful or jailbreakbench/benign")
    return [prompt for part in SOURCES if config.part in ("all", part) for prompt in load_part(part, config.data)]


def load_part(part: str, data: str) -> list[Prompt]:
    where, rows = rows_of(SOURCES[part], data)
    goal, target, category = (column_of(where, rows, name) for name in ("goal", "target", "category"))
    suite = f"jailbreakbench/{part}"
    return [
        Prompt(f"{suite}/{number}", text_of(where, number, row, goal), KINDS[part], row[category], suite, reference=row[target])
        for number, row in enumerate(rows, 1)
    ]
