"""Make a better model with a method, and save it with its card so that it loads without demur."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from demur.chat import Chat, load_chat
from demur.folder import write, write_json
from demur.plugins import load_plugin
from demur.progress import is_main_process
from demur.types import Score

DONE = "demur.json"
CARD = """---
library_name: {library}
base_model: {base}
tags: [demur, over-refusal, safety]
---
# {name}

Made by [demur](https://pypi.org/project/demur/) from `{base}` with the method `{method}`, seed {seed}.

Load it with `{loader}`.

## Settings

```json
{settings}
```

{scores}
"""


def align(chat: Chat, method: str | Mapping[str, Any], out: Path, seed: int = 0, name: str = "") -> Chat:
    """Apply a method to `chat` and save the result in the folder `out`; a finished one is loaded, an interrupted training resumes.

    Checkpoints lie in `out`.partial until the model is complete.
    """
    plugin = load_plugin("methods", method)
    partial = out.with_name(f"{out.name}.partial")
    if not is_finished(out):
        made = plugin.call(chat, partial / "checkpoints", seed)
        if is_main_process():
            made.model.save_pretrained(partial / "model")
            made.tokenizer.save_pretrained(partial / "model")
            made_by = {"name": name or out.name, "base": chat.name, "method": plugin.name, "seed": seed, "settings": settings(method)}
            write(partial / "model" / "README.md", card(made_by, adapter=(partial / "model" / "adapter_config.json").is_file()))
            write_json(partial / "model" / DONE, made_by)
            shutil.rmtree(out, ignore_errors=True)
            (partial / "model").rename(out)
            shutil.rmtree(partial, ignore_errors=True)
        wait_for_everyone()
    return load_chat(str(out), replace(chat.options, chat_template="", revision=""), name or out.name)


def settings(method: str | Mapping[str, Any]) -> dict[str, Any]:
    return {"name": method} if isinstance(method, str) else dict(method)


def card(made_by: Mapping[str, Any], adapter: bool, scores: str = "") -> str:
    """The model card: what the model is, how it was made, how it is loaded, and its scores once they are known."""
    loader = "peft.AutoPeftModelForCausalLM.from_pretrained" if adapter else "transformers.AutoModelForCausalLM.from_pretrained"
    library = "peft" if adapter else "transformers"
    text = json.dumps(made_by["settings"], indent=1, ensure_ascii=False)
    return CARD.format(**{**made_by, "settings": text}, library=library, loader=loader, scores=scores)


def wait_for_everyone() -> None:
    from accelerate import PartialState

    PartialState().wait_for_everyone()


def is_finished(out: Path) -> bool:
    return (out / DONE).is_file()


def add_scores_to_card(out: Path, scores: Sequence[Score]) -> None:
    """Write the model's measured rates into its card."""
    made_by = json.loads((out / DONE).read_text(encoding="utf-8"))
    write(out / "README.md", card(made_by, (out / "adapter_config.json").is_file(), score_table(scores)))


def score_table(scores: Sequence[Score]) -> str:
    lines = ["## Scores", "", "Rate in per cent with its 95% interval.", ""]
    lines += ["| suite | attack | judge | metric | rate | prompts |", "|---|---|---|---|---|---|"]
    for row in scores:
        rate = "-" if row.value is None else f"{100 * row.value:.1f} [{100 * (row.low or 0):.1f}, {100 * (row.high or 0):.1f}]"
        lines.append(f"| {row.suite} | {row.attack} | {row.judge} | {row.metric} | {rate} | {row.count} |")
    return "\n".join(lines) + "\n"
