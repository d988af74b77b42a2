"""The whole loop: obtain each model of a recipe, measure it, score and compare, and write the report. An interrupted run resumes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from demur.align import add_scores_to_card, align, is_finished
from demur.chat import Chat, load_chat
from demur.folder import append, keep_same, locked, read_records, slug, write_json
from demur.manifest import machine, model_hash, read_seconds, text_hash, versions
from demur.measure import load_prompts, measure_model
from demur.progress import say
from demur.recipe import Recipe, to_toml
from demur.report import build_report
from demur.statistics import compare, score
from demur.types import Comparison, Prompt, Score, Verdict

FORMAT = 1


@dataclass(frozen=True)
class Results:
    """What a run found, and the folder that holds all of it."""

    folder: Path
    scores: list[Score]
    comparisons: list[Comparison]


@dataclass
class Journal:
    """Seconds per step and the hash of each model, for the manifest."""

    seconds: dict[str, float] = field(default_factory=dict)
    models: dict[str, dict[str, str]] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 2)


def execute(recipe: Recipe, folder: Path) -> Results:
    """Run a resolved recipe in `folder`, or finish the run that is there. Raises UserError if it holds a run of another recipe or seed."""
    with locked(folder):
        keep_same(folder / "recipe.toml", to_toml(recipe))
        journal = Journal(read_seconds(folder / "manifest.json"))
        prompts = load_prompts(recipe.measure.suites)
        everything: dict[str, Prompt] = {}
        verdicts: dict[str, list[Verdict]] = {}
        for name in recipe.models:
            attacked, verdicts[name] = measure_one(recipe, name, prompts, folder, journal)
            everything |= {prompt.id: prompt for prompt in attacked}
            keep_prompts(folder / "prompts.jsonl", everything)
            write_manifest(recipe, folder, journal, prompts)
        results = Results(folder, scores_of(recipe, verdicts, everything), compare(verdicts, everything))
        content = {
            "format": FORMAT,
            "scores": [asdict(row) for row in results.scores],
            "comparisons": [asdict(row) for row in results.comparisons],
        }
        write_json(folder / "results.json", content)
        for name, model in recipe.models.items():
            if model.start:
                add_scores_to_card(folder / "models" / slug(name), [row for row in results.scores if row.model == name])
        build_report([folder], folder / "report.html")
        return results


def measure_one(recipe: Recipe, name: str, prompts: list[Prompt], folder: Path, journal: Journal) -> tuple[list[Prompt], list[Verdict]]:
    """Obtain one model and measure it; both are quick where the folder holds the outcome."""
    with journal.step(f"{name}: make"):
        chat = obtain(recipe, name, folder)
    journal.models[name] = {"source": recipe.models[name].load or recipe.models[name].start, "hash": model_hash(chat)}
    with journal.step(f"{name}: measure"):
        return measure_model(chat, prompts, recipe.measure, folder)


def obtain(recipe: Recipe, name: str, folder: Path) -> Chat:
    """The model called `name`: loaded, or made from the model that it starts from."""
    model = recipe.models[name]
    if model.load:
        return load_chat(model.load, model.chat, name)
    out = folder / "models" / slug(name)
    if is_finished(out):
        return load_chat(str(out), model.chat, name)
    say(f"{name}: {model.method_name} from {model.start}")
    return align(obtain(recipe, model.start, folder), model.method, out, recipe.seed, name)


def keep_prompts(file: Path, prompts: dict[str, Prompt]) -> None:
    known = {prompt.id for prompt in read_records(file, Prompt)}
    append(file, [prompt for prompt in prompts.values() if prompt.id not in known])


def scores_of(recipe: Recipe, verdicts: dict[str, list[Verdict]], prompts: dict[str, Prompt]) -> list[Score]:
    scores = []
    for name, of_model in verdicts.items():
        for judge in dict.fromkeys(verdict.judge for verdict in of_model):
            seen = [verdict for verdict in of_model if verdict.judge == judge]
            scores += score(seen, prompts, recipe.models[name].method_name, recipe.seed)
    return scores


def write_manifest(recipe: Recipe, folder: Path, journal: Journal, prompts: list[Prompt]) -> None:
    suites: dict[str, list[str]] = {}
    for prompt in prompts:
        suites.setdefault(prompt.suite, []).append(prompt.text)
    content = {
        "versions": versions(),
        "seed": recipe.seed,
        "hardware": machine(),
        "models": journal.models,
        "data": {suite: text_hash(texts) for suite, texts in suites.items()},
        "seconds": journal.seconds,
    }
    write_json(folder / "manifest.json", content)
