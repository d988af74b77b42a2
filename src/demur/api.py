"""The Python API: one function a command, same names and options. Heavy libraries are imported when a function is called."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demur.options import ChatOptions, Generation
from demur.plugins import Spec
from demur.types import UserError

if TYPE_CHECKING:
    from demur.chat import Chat
    from demur.run import Results
    from demur.validate import Agreement


def run(recipe: str = "", out: Path | None = None, seed: int | None = None, settings: Sequence[str] = ()) -> "Results":
    """Run a whole recipe: obtain or make its models, measure each, and write results.json and report.html.

    `recipe` is a TOML file ("": the embedded demo), `settings` change it (KEY=VALUE with dotted keys). An interrupted run is
    finished where it stopped. Raises UserError for a bad recipe and for a folder that holds another run.
    """
    from demur.recipe import read_recipe
    from demur.run import execute

    resolved = read_recipe(recipe, settings, seed)
    name = Path(recipe).stem if recipe else "demo"
    return execute(resolved, out or Path("runs") / f"{name}-seed{resolved.seed}")


def measure(
    model: str,
    suites: Sequence[Spec],
    attacks: Sequence[Spec] = ("none",),
    judges: Sequence[Spec] = ("rule",),
    out: Path | None = None,
    data: str = "",
    seed: int = 0,
    generation: Generation | None = None,
    chat: ChatOptions | None = None,
) -> "Results":
    """Measure safety and over-refusal of one model.

    `data` is a local copy of the suites' files: a folder that holds them, or one file for the only suite that reads one.
    """
    from dataclasses import replace

    from demur.options import Measurement
    from demur.recipe import ModelRecipe, Recipe, resolve
    from demur.run import execute

    specs = [with_data(suite, data) for suite in suites]
    generation = replace(generation or Generation(), seed=seed)
    measurement = Measurement(specs, [as_table(attack) for attack in attacks], [as_table(judge) for judge in judges], generation)
    models = {model: ModelRecipe(load=model, chat=chat or ChatOptions())}
    recipe = Recipe(models, measurement, title=f"How often does {model} refuse?", seed=seed)
    return execute(resolve(recipe, "measure"), out or default_folder(model))


def default_folder(model: str) -> Path:
    from demur.folder import slug

    return Path("runs") / f"measure-{slug(model)}"


def with_data(suite: Spec, data: str) -> dict[str, Any]:
    """The suite as a table, told where its local file is if it reads one."""
    from demur.plugins import load_plugin

    reads_a_file = data and hasattr(load_plugin("suites", suite).config, "data")
    return ({"data": data} if reads_a_file else {}) | as_table(suite)


def as_table(spec: Spec) -> dict[str, Any]:
    from demur.plugins import parse_spec

    name, options = parse_spec(spec)
    return {"name": name} | options


def align(
    model: str, out: Path, method: str = "sft", seed: int = 0, chat: ChatOptions | None = None, options: Mapping[str, Any] | None = None
) -> "Chat":
    """Make a better model with a method and save it, with its card, in the folder `out`.

    `options` are the fields of the method's Config. Raises UserError where `out` holds a finished model already.
    """
    from demur.align import align as make
    from demur.align import is_finished
    from demur.chat import load_chat
    from demur.recipe import full_spec

    spec = full_spec("methods", {"name": method} | dict(options or {}))
    if is_finished(out):
        raise UserError(f"{out}: holds a finished model; choose another --out or delete the folder")
    return make(load_chat(model, chat), spec, out, seed)


def report(runs: Sequence[Path], out: Path = Path("report.html")) -> Path:
    """Write one self-contained HTML page that shows and compares runs."""
    from demur.report import build_report

    return build_report(runs, out)


def validate(files: Sequence[Path], judges: Sequence[Spec] = ("rule",)) -> "list[Agreement]":
    """Score judges against human labels on the same answers."""
    from demur.validate import validate as score

    return score(files, judges)


def plugins() -> dict[str, dict[str, str]]:
    """Every suite, attack, judge and method with a line of description."""
    from demur.plugins import FUNCTION, descriptions

    return {room: descriptions(room) for room in FUNCTION}
