"""What `demur compare` prints: every method at its strength on the test prompts, the frontier, and the pick"""

from statistics import fmean

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demur.compare import START, Compared, Row


def print_compared(found: Compared) -> None:
    """One row a method, means over the seeds; their least and greatest where there are several."""
    console = Console()
    attacks = list(found.rows[0].point.attack_success)
    seeds = len(found.contest.seeds)
    spoken = f", mean of {seeds} seeds [least, greatest]" if seeds > 1 else ""
    title = f"test prompts, per cent{spoken}: harmless ones refused, attack success by attack, utility; * on the frontier"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("method", "strength"):
        table.add_column(name, overflow="fold")
    for name in ("refused", *attacks, "utility", "making", "answers"):
        table.add_column(name, justify="right", overflow="fold")
    for method in dict.fromkeys(row.method for row in found.rows):
        rows = [row for row in found.rows if row.method == method]
        rates = [[row.point.over_refusal for row in rows], *([row.point.attack_success[attack] for row in rows] for attack in attacks)]
        cells = [spread(values) for values in [*rates, [row.point.utility for row in rows]]]
        mark = " *" if method in found.frontier else ""
        costs = (f"{fmean(row.training_seconds for row in rows):.0f} s", ratio([row.answering for row in rows]))
        table.add_row(Text(method + mark), Text(strength_text(rows[0])), *cells, *costs)
    console.print(table)
    console.print(Text(picked_text(found)), soft_wrap=True)
    for seed in found.contest.seeds:
        console.print(f"report: {found.folder / f'test-seed{seed}' / 'report.html'}", soft_wrap=True, highlight=False, markup=False)


def spread(values: list[float | None]) -> str:
    known = [100 * value for value in values if value is not None]
    if len(known) < len(values):
        return "unknown"
    ends = [f"{end:.0f}" for end in (min(known), max(known))]
    return f"{fmean(known):.0f}" + (f" [{', '.join(ends)}]" if ends[0] != ends[1] else "")


def ratio(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{fmean(known):.2f}x" if known else "unknown"


def strength_text(row: Row) -> str:
    return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in row.strength.items())


def picked_text(found: Compared) -> str:
    """Who was picked on the validation prompts, and whether the bound holds on the test prompts."""
    from demur.compare import average, bounded

    refusal, success = bounded(average([row.point for row in found.rows if row.method == found.picked]), found.bounded)
    who = "the start model itself" if found.picked == START else found.picked
    limit = f"attack success {'of' if found.kept else 'to'} at most {100 * found.contest.bound:.0f}%"
    won = f"least over-refusal with {limit}" if found.kept else f"none keeps {limit}; nearest to it"
    test = f"it refuses {100 * refusal:.0f}% of the harmless test prompts, attack success is {100 * success:.0f}% under the worst"
    return f"{won} (validation prompts): {who}; {test}"
