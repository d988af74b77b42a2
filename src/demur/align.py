"""Make a better model with a method, and save it with its card so that it loads without demur."""

import json
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from demur.card import CARD_FILE, DONE, card
from demur.chat import Chat, quiet_progress
from demur.folder import disk_error, keep_same, locked, read_records, write, write_json, write_records
from demur.guard import TRAINED_FILE
from demur.manifest import model_hash
from demur.plugins import Spec, load_plugin
from demur.processes import is_main_process, process_count, wait_for_everyone
from demur.types import Sample, UserError


def align(chat: Chat, method: Spec, out: Path, seed: int = 0, name: str = "") -> Path:
    """Apply a method to `chat` and save the result, with its card, in the new folder `out`.

    Checkpoints lie in `out`.partial until the model is complete; an interrupted training with the same settings resumes from them.
    Raises UserError if `out` holds something already, and if `out`.partial belongs to other settings.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not empty; choose another --out")
    plugin = load_plugin("methods", method)
    partial = out.with_name(f"{out.name}.partial")
    made_by = {"name": name or out.name, "base": chat.name, "method": plugin.name, "seed": seed, "settings": settings(method)}
    with locked(partial) if is_main_process() else nullcontext():
        if is_main_process():
            begun = any(partial.glob("checkpoints/*"))
            keep_same(
                partial / "settings.json", json.dumps(made_by | {"start": model_hash(chat), "processes": process_count()}, indent=1), begun
            )
        made = plugin.call(chat, partial / "checkpoints", seed)
        wait_for_everyone()
        if is_main_process():
            save(made, partial / "model", made_by)
            inherit(Path(chat.source), partial / "checkpoints")
            for made_on_the_way in (partial / "checkpoints").glob("*.jsonl"):  # extracted samples, weights of samples
                shutil.copy(made_on_the_way, partial / "model" / made_on_the_way.name)
            out.parent.mkdir(parents=True, exist_ok=True)
            (partial / "model").rename(out)
    if is_main_process():
        shutil.rmtree(partial)
    wait_for_everyone()
    return out


def save(chat: Chat, folder: Path, made_by: Mapping[str, Any]) -> None:
    from safetensors import SafetensorError

    shutil.rmtree(folder, ignore_errors=True)
    try:
        with quiet_progress(True):
            chat.model.save_pretrained(folder)
    except SafetensorError as error:
        raise disk_error(error, folder) from error
    chat.tokenizer.save_pretrained(folder)
    write(folder / CARD_FILE, card(made_by, adapter=(folder / "adapter_config.json").is_file()))
    write_json(folder / DONE, made_by)


def inherit(start: Path, folder: Path) -> None:
    """Add the requests that the start model was trained on to those of this training."""
    known = read_records(start / TRAINED_FILE, Sample)
    if known:
        write_records(folder / TRAINED_FILE, [*read_records(folder / TRAINED_FILE, Sample), *known])


def settings(method: Spec) -> dict[str, Any]:
    return {"name": method} if isinstance(method, str) else dict(method)


def is_finished(out: Path) -> bool:
    return (out / DONE).is_file()
