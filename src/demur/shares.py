"""One run folder filled by several processes: each measures its share of the prompts in a folder of its own, the first one merges them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demur.folder import Records, line_of, windows
from demur.processes import is_main_process, process_count, process_number, wait_for_everyone
from demur.types import Prompt, Response, Verdict

SHARES = "shares"
WINDOW = 4096  # records in memory at once
# What the files of a run folder hold: a record's type and the field that it is known by.
KINDS: dict[str, tuple[type[Any], str]] = {
    "prompts.jsonl": (Prompt, "id"),
    "attacks/*.jsonl": (Prompt, "id"),
    "responses/*.jsonl": (Response, "prompt"),
    "verdicts/*.jsonl": (Verdict, "prompt"),
}


@contextmanager
def own_folder(folder: Path) -> Iterator[Path]:
    """The folder in which this process measures: the run folder itself, or one of several that know what it holds and are merged into it.

    Where a process fails, what all of them made stays in their folders, and is merged when the run goes on.
    """
    if process_count() == 1:
        yield folder
        return
    own = folder / SHARES / str(process_number())
    for file in known_files(folder):
        copy = own / file.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    wait_for_everyone()
    yield own
    wait_for_everyone()
    if is_main_process():
        merge(folder)
    wait_for_everyone()


def merge(folder: Path) -> None:
    """Add what the processes' folders hold to the run folder, and delete them."""
    for own in sorted((folder / SHARES).glob("*")):
        for file in known_files(own):
            whole = folder / file.relative_to(own)
            pattern = file.relative_to(own).parts[0]
            kind, key = KINDS[pattern if pattern in KINDS else f"{pattern}/*.jsonl"]
            merge_records(Records(whole, kind, key), Records(file, kind, key))
    shutil.rmtree(folder / SHARES, ignore_errors=True)


def merge_records(whole: Records[Any], part: Records[Any]) -> None:
    """Add the records that the run folder has never held, of each key the last one: a copy of an old one, which every process was given,
    does not undo what another process renewed."""
    held = {hash(line_of(record)) for record in whole}
    for names in windows(part.places, WINDOW):
        whole.add(record for record in part.get(names) if hash(line_of(record)) not in held)


def known_files(folder: Path) -> list[Path]:
    return sorted(file for pattern in KINDS for file in folder.glob(pattern))
