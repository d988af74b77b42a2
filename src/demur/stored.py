"""JSON files that demur wrote, read back into the dataclasses that they were written from"""

import json
from pathlib import Path
from typing import Any, TypeVar

from demur.types import UserError

Stored = TypeVar("Stored")


def read_stored(file: Path, kind: type[Stored], command: str) -> Stored:
    """The `kind` that `command` wrote to `file`, every field checked; fields that it does not know are left out, lone surrogates become �.

    Raises UserError, with the place, for a file that is no JSON, for a field that is missing or of another type, and for a number that is
    not finite.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        content = json.loads(file.read_text(encoding="utf-8"), parse_float=finite, parse_constant=finite)
        text = json.dumps(content, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise UserError(f"{file}: {place or 'the whole file'}: {problem['msg']}; repeat `{command}`") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not readable as JSON ({error}); repeat `{command}`") from None


def finite(text: str) -> Any:
    """The number that `text` stands for. Raises ValueError for one that is none, or infinite."""
    number = float(text)
    if number in (float("inf"), float("-inf")) or number != number:
        raise ValueError(f"{text[:40]} is no finite number")
    return number
