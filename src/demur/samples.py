"""Training samples from a file of the user's, in any of the usual shapes, or from the demo world."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from demur.tables import Row, find_column, read_rows
from demur.types import Sample, UserError

Role = Literal["harmful", "benign"]
# Column pairs of the shapes that training sets come in: prompt/completion and chat messages are TRL's, instruction/output Alpaca's.
PAIRS = (("prompt", "completion"), ("prompt", "response"), ("instruction", "output"), ("question", "answer"), ("prompt", "answer"))
CHATS = ("messages", "conversations")


def load_samples(source: str, role: Role, count: int, seed: int) -> list[Sample]:
    """Samples from `none`, `demo/...` or a file; with `count` that many, drawn at random.

    Raises UserError for a malformed row or too few rows.
    """
    if source == "none":
        return []
    if source.startswith("demo/"):
        from demur.demo.samples import demo_samples

        return demo_samples(source.removeprefix("demo/"), role, count, seed)
    samples = file_samples(Path(source), role)
    if count > len(samples):
        raise UserError(f"{source}: {len(samples)} samples, {count} were asked for; lower the count")
    return random.Random(seed).sample(samples, count) if count else samples


def file_samples(path: Path, role: Role) -> list[Sample]:
    return [sample_of(path, number, row, role) for number, row in enumerate(read_rows(path), 1)]


def sample_of(path: Path, number: int, row: Row, role: Role) -> Sample:
    """One row as a sample. Raises UserError where it has no request or no answer."""
    messages = next((row[name] for name in CHATS if isinstance(row.get(name), list)), None)
    sample = from_messages(path, number, messages, role) if messages is not None else from_columns(path, number, row, role)
    if not sample.prompt.strip() or not sample.answer.strip():
        raise UserError(f"{path}: row {number}: request or answer is empty; fill it in or delete the row")
    return sample


def from_columns(path: Path, number: int, row: Row, role: Role) -> Sample:
    for first, second in PAIRS:
        prompt, answer = find_column(row, [first]), find_column(row, [second])
        if not prompt or not answer:
            continue
        if isinstance(row[prompt], list) and isinstance(row[answer], list):
            return from_messages(path, number, [*row[prompt], *row[answer]], role)
        context = find_column(row, ["input"]) if first == "instruction" else None
        parts = [row[prompt], (row[context] if context else "") or ""]
        if all(isinstance(part, str) for part in (*parts, row[answer])):
            return Sample(f"{path.name}/{number}", "\n".join(part for part in parts if part), row[answer], role)
    shapes = ", ".join("/".join(pair) for pair in PAIRS)
    raise UserError(f"{path}: row {number}: no request and answer in the columns {', '.join(map(str, row))}; use {shapes} or messages")


def from_messages(path: Path, number: int, messages: Sequence[Mapping[str, Any]], role: Role) -> Sample:
    """One exchange: an optional system prompt, the user's request, the assistant's answer."""
    turns = [message_of(path, number, message) for message in messages]
    system = turns.pop(0)[1] if turns and turns[0][0] == "system" else ""
    if [speaker for speaker, _ in turns] != ["user", "assistant"]:
        speakers = ", ".join(speaker for speaker, _ in turns) or "nobody"
        raise UserError(f"{path}: row {number}: the chat must be one user and one assistant message; found {speakers}")
    return Sample(f"{path.name}/{number}", turns[0][1], turns[1][1], role, system=system)


def message_of(path: Path, number: int, message: Any) -> tuple[str, str]:
    names = {"human": "user", "gpt": "assistant"}
    if isinstance(message, Mapping):
        speaker, text = message.get("role", message.get("from")), message.get("content", message.get("value"))
        if isinstance(speaker, str) and isinstance(text, str):
            return names.get(speaker, speaker), text
    raise UserError(f"{path}: row {number}: a chat message needs role and content, both text; found {str(message)[:60]}")
