"""What an attack could spend: its options in the recipe, and which of them make it a search, whose rate is that of the best of many."""

import tomllib
from functools import cache
from typing import Any

from demur.report.data import RunData, name_text

# Options that say how long an attack may look for its prompt. One that has any of them searches.
BUDGET = ("streams", "iterations", "steps", "restarts", "candidates")


def attack_options(run: RunData) -> dict[str, dict[str, Any]]:
    """The options of each attack by its name in the scores, in the order of the recipe; nothing of attacks that have none.

    The recipe is a file that anybody may have changed: what is not as demur writes it is left out.
    """
    scored = {score.attack for score in run.scores}
    found = {}
    for entry in _entries(run.recipe):
        name, named = str(entry["name"]), {"name"}
        if f"{name}/{entry.get('part')}" in scored:
            name, named = f"{name}/{entry['part']}", {"name", "part"}
        options = {key: value for key, value in entry.items() if key not in named and value != ""}
        if options:
            found[name_text(name)] = options
    return found


def search_note(run: RunData, attack: str) -> str:
    """What a search could spend on each prompt, and with which seed; "" for an attack that does not search."""
    options = attack_options(run).get(attack, {})
    shown = [f"{key} {options[key]}" for key in (*BUDGET, "seed") if isinstance(options.get(key), int)]
    return ", ".join(shown) if any(key in options for key in BUDGET) else ""


@cache
def _entries(recipe: str) -> list[dict[str, Any]]:
    try:
        measure = tomllib.loads(recipe).get("measure")
    except tomllib.TOMLDecodeError:
        return []
    attacks = measure.get("attacks") if isinstance(measure, dict) else None
    return [entry for entry in attacks if isinstance(entry, dict) and "name" in entry] if isinstance(attacks, list) else []
