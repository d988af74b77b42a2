"""What a run was made with: versions, hardware, hashes. Never a secret: nothing is read from the environment."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from demur.chat import Chat
from demur.remote import RemoteChat
from demur.types import UserError
from demur.wrapper import wrapped_hash

PACKAGES = ("demur", "torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "trl")


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}


def machine() -> dict[str, str | int]:
    import torch

    accelerators = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count() or 0,
        "accelerators": ", ".join(accelerators),
    }


def peak_memory() -> dict[str, int]:
    """The most memory that was taken so far, in MiB: by this process (resident set), and by torch on the accelerator where it took most."""
    import torch

    most = {"process": process_peak() >> 20}
    taken = [torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count())]
    return most | ({"accelerator": max(taken) >> 20} if any(taken) else {})


def process_peak() -> int:
    """The greatest resident set of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's rusage counts what the process that started this one had taken
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def text_hash(texts: Iterable[str]) -> str:
    """SHA-256 of a list of texts, order included."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def model_hash(chat: Chat | RemoteChat) -> str:
    """SHA-256 of a local model's weights, the commit of a model from the Hub, or the name and address of one behind an endpoint; with what
    is around it. Raises UserError where that was made for other weights."""
    return wrapped_hash(chat.identity if isinstance(chat, RemoteChat) else weights_hash(chat), chat)


def weights_hash(chat: Chat) -> str:
    """The hash of the model inside, whatever is around it."""
    folder = Path(chat.source)
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")) if folder.is_dir() else []:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    commit = getattr(chat.model.config, "_commit_hash", None)
    return digest.hexdigest() if folder.is_dir() else f"commit {commit}"


def read_manifest(file: Path) -> dict[str, Any]:
    """What an earlier, interrupted attempt at a run noted of its seconds, memory, models and data; nothing where there is no file."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        later = {key: dict(content.get(key, {})) for key in ("left_out", "memory")}  # earlier versions did not write them
        return {key: dict(content[key]) for key in ("seconds", "models", "data")} | later
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        raise UserError(f"{file}: damaged; delete it and run again") from None
