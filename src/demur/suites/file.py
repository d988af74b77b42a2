"""your own prompts: any CSV, JSON, JSONL or Parquet file (write its path instead of this name)"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from demur.progress import say
from demur.tables import Row, column_of, find_column, read_rows, text_of
from demur.types import Kind, Prompt, UserError

TEXT_COLUMNS = ("prompt", "text", "question", "instruction", "query", "request", "goal", "behavior", "behaviour", "input")
KIND_COLUMNS = ("kind",)
CATEGORY_COLUMNS = ("category", "type", "harm_area", "topic")
ID_COLUMNS = ("id", "prompt_id", "index")


@dataclass(frozen=True)
class Config:
    path: str
    """The file."""
    kind: Literal["", "harmful", "pseudo_harmful", "benign"] = ""
    """What its prompts are; empty: the column `kind` says it."""
    text: str = ""
    """Column of the prompts; empty: guessed and printed."""
    category: str = ""
    """Column of the categories; empty: guessed."""
    id: str = ""
    """Column of the ids; empty: guessed, else the row number."""


def load(config: Config) -> list[Prompt]:
    path = Path(config.path)
    rows = read_rows(path)
    text = chosen(path, rows, config.text, TEXT_COLUMNS, "prompts")
    if text is None:
        raise UserError(f"{path}: which column holds the prompts? Give text=COLUMN; the columns are: {', '.join(map(str, rows[0]))}")
    category = chosen(path, rows, config.category, CATEGORY_COLUMNS, "categories")
    identity = chosen(path, rows, config.id, ID_COLUMNS, "ids")
    kinds = kinds_of(path, rows, config.kind)
    numbers = [str(number) for number in range(1, len(rows) + 1)]
    ids = [number if row.get(identity or "") in (None, "") else str(row[identity or ""]) for number, row in zip(numbers, rows, strict=True)]
    twice = next((value for value, count in Counter(ids).items() if count > 1), None)
    if twice is not None and config.id:
        raise UserError(f"{path}: column {identity!r}: the id {twice!r} occurs twice; give id=COLUMN with one id a row")
    ids = ids if twice is None else numbers
    suites = {kind: path.stem if len(set(kinds)) == 1 else f"{path.stem}/{kind}" for kind in kinds}
    return [
        Prompt(
            f"{suites[kind]}/{name}", text_of(path, number, row, text), kind, str(row.get(category) or "") if category else "", suites[kind]
        )
        for number, (row, kind, name) in enumerate(zip(rows, kinds, ids, strict=True), 1)
    ]


def chosen(path: Path, rows: list[Row], given: str, usual: tuple[str, ...], what: str) -> str | None:
    if given:
        return column_of(path, rows, given)
    guess = find_column(rows[0], usual)
    if guess:
        say(f"{path}: {what} from column {guess!r} (guessed)")
    return guess


def kinds_of(path: Path, rows: list[Row], given: str) -> list[Kind]:
    if given:
        return [given] * len(rows)  # type: ignore[list-item]
    column = find_column(rows[0], KIND_COLUMNS)
    if column is None:
        raise UserError(f"{path}: what are these prompts? Add a column 'kind', or write {path}:kind=harmful (pseudo_harmful, benign)")
    for number, row in enumerate(rows, 1):
        if row.get(column) not in get_args(Kind):
            raise UserError(
                f"{path}: row {number}: column {column!r} is {row.get(column)!r}; it must be one of {', '.join(get_args(Kind))}"
            )
    return [row[column] for row in rows]
