"""Measure one model: prompts -> attacked prompts -> responses -> verdicts, each appended to the run folder and never made twice."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from demur.chat import Chat
from demur.folder import append, read_records, slug
from demur.generate import generate
from demur.options import Generation, Measurement
from demur.plugins import Plugin, Spec, load_plugin
from demur.progress import progress
from demur.types import Prompt, Response, UserError, Verdict


def load_prompts(suites: Sequence[Spec]) -> list[Prompt]:
    """The prompts of all suites. Raises UserError for an empty suite and where a prompt occurs twice."""
    prompts: list[Prompt] = []
    for plugin in (load_plugin("suites", suite) for suite in suites):
        found = plugin.call()
        if not found:
            raise UserError(f"suite {plugin.name}: holds no prompts; leave it out or raise its count")
        prompts += found
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.id in seen:
            raise UserError(f"prompt {prompt.id} occurs twice; name every suite once, and files of prompts by different names")
        seen.add(prompt.id)
    return prompts


def measure_model(chat: Chat, prompts: Sequence[Prompt], measurement: Measurement, folder: Path) -> tuple[list[Prompt], list[Verdict]]:
    """The attacked prompts of one model and the verdicts on its answers. What the folder holds already is not made again."""
    attacks = different([load_plugin("attacks", attack) for attack in measurement.attacks])
    judges = different([load_plugin("judges", judge) for judge in measurement.judges])
    attacked = [prompt for attack in attacks for prompt in attack.call(prompts, chat)]
    responses = respond(chat, attacked, measurement.generation, folder / "responses" / f"{slug(chat.name)}.jsonl")
    verdicts = []
    for judge in judges:
        file = folder / "verdicts" / f"{slug(chat.name)}.{slug(judge.name)}.jsonl"
        verdicts += judge_all(judge, attacked, responses, file)
    return attacked, verdicts


def different(plugins: list[Plugin]) -> list[Plugin]:
    """The same plugins. Raises UserError where two share a name: their results could not be told apart."""
    names = [plugin.name for plugin in plugins]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"{twice} is named twice; use each once, and runs of their own for different options")
    return plugins


def respond(chat: Chat, prompts: Sequence[Prompt], generation: Generation, file: Path) -> dict[str, Response]:
    file.parent.mkdir(parents=True, exist_ok=True)
    done = {response.prompt: response for response in read_records(file, Response)}
    missing = [prompt for prompt in prompts if prompt.id not in done]
    with progress(f"{chat.name}: answers", len(prompts), len(prompts) - len(missing)) as advance:
        for batch in generate(chat, missing, generation):
            append(file, batch)
            done |= {response.prompt: response for response in batch}
            advance(len(batch))
    return done


def judge_all(judge: Plugin, prompts: Sequence[Prompt], responses: Mapping[str, Response], file: Path) -> list[Verdict]:
    file.parent.mkdir(parents=True, exist_ok=True)
    done = {verdict.prompt: verdict for verdict in read_records(file, Verdict)}
    missing = [prompt for prompt in prompts if prompt.id not in done]
    if missing:
        verdicts = judge.call(missing, [responses[prompt.id] for prompt in missing])
        append(file, verdicts)
        done |= {verdict.prompt: verdict for verdict in verdicts}
    return [done[prompt.id] for prompt in prompts]
