"""What is put around a model that keeps its weights: requests are rewritten, logits contrasted or states steered on the way to an answer

A wrapped model is a folder with `wrapper.json` (the model that it is put around and the methods with all their options) and, where a method
has found directions in hidden space, `directions.safetensors`. Answers come through it; hidden states, refusal log-odds and white-box
attacks are those of the model inside.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from demur.folder import write_json
from demur.options import ChatOptions
from demur.plugins import Plugin, Spec, load_plugin
from demur.types import Prompt, UserError

if TYPE_CHECKING:
    from torch import Tensor

    from demur.chat import Chat
    from demur.remote import RemoteChat

FORMAT = 1
WRAPPER_FILE = "wrapper.json"
DIRECTIONS = "directions.safetensors"
TEMPLATE = "chat_template.jinja"
ABOUT = "demur.chat.load_chat(FOLDER) loads `source` and puts `wrappers` around it, the first one innermost; `made_for` is its hash."

AnyChat = TypeVar("AnyChat", bound="Chat | RemoteChat")


class Beside(Protocol):
    """What goes on beside a batch while it is answered; where it is a LogitsProcessor as well, it changes the logits of every step."""

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows of the batch alone."""


Rewrite = Callable[[Any, Sequence[str]], list[str]]
Attend = Callable[["Chat", Sequence[Prompt]], AbstractContextManager[Beside]]


@dataclass(frozen=True, eq=False)
class Wrapper:
    """One method around a model: `rewrite(chat, texts)` changes requests before the template, `attend(chat, prompts)` is open while a batch
    is answered; `steers` says that it changes hidden states, so that none may be kept for other batches. `cost` says what it takes at
    inference; `spec` is the method with its options, `tensors` what it has found, `made_for` the hash of the model that it was made
    for, `folder` where it was loaded from."""

    cost: str
    rewrite: Rewrite | None = None
    attend: Attend | None = None
    steers: bool = False
    tensors: "Mapping[str, Tensor]" = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    made_for: str = ""
    folder: str = ""


def wraps(plugin: Plugin) -> bool:
    """Whether a method puts something around a model and trains nothing: its file has `wrap(config, tensors)`."""
    return hasattr(plugin.module, "wrap")


def works_remotely(plugin: Plugin) -> bool:
    """Whether a method needs no more of a model than that it answers: its file has `remote(config)`, which says so."""
    return wraps(plugin) and getattr(plugin.module, "remote", lambda config: False)(plugin.config)


def wrapper_of(method: Spec, tensors: "Mapping[str, Tensor]") -> Wrapper:
    """The wrapper that a method makes of its options and of what it has found. Raises UserError for a method that trains."""
    plugin = load_plugin("methods", method)
    if not wraps(plugin):
        raise UserError(f"{plugin.name}: trains a model and is no wrapper; choose a method that changes no weights")
    return replace(plugin.module.wrap(plugin.config, tensors), spec=spec_of(plugin))


def spec_of(plugin: Plugin) -> dict[str, Any]:
    return {"name": plugin.name} | asdict(plugin.config)


def put_around(chat: AnyChat, wrapper: Wrapper) -> AnyChat:
    """The chat inside one more wrapper. Raises UserError where two would change the logits or the states of one answer."""
    twice = wrapper.attend and next((one for one in chat.wrappers if one.attend), None)
    if twice:
        raise UserError(f"{chat.name}: {twice.spec.get('name')} works on its answers already; start from the model inside it")
    return replace(chat, wrappers=(*chat.wrappers, wrapper))


def rewritten(chat: "Chat | RemoteChat", prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts as the model inside gets them: the outermost wrapper rewrites first."""
    asked = list(prompts)
    for wrapper in reversed(chat.wrappers):
        if wrapper.rewrite and asked:
            texts = wrapper.rewrite(chat, [prompt.text for prompt in asked])
            asked = [replace(prompt, text=text) for prompt, text in zip(asked, texts, strict=True)]
    return asked


@contextmanager
def attended(chat: "Chat", prompts: Sequence[Prompt]) -> Iterator[list[Any]]:
    """Open while a batch of (rewritten) prompts is answered; gives what goes on beside it."""
    with ExitStack() as stack:
        yield [stack.enter_context(wrapper.attend(chat, prompts)) for wrapper in chat.wrappers if wrapper.attend]


def is_attended(chat: "Chat") -> bool:
    return any(wrapper.attend for wrapper in chat.wrappers)


def is_steered(chat: "Chat") -> bool:
    return any(wrapper.steers for wrapper in chat.wrappers)


def costs(chat: "Chat") -> str:
    return " ".join(wrapper.cost for wrapper in chat.wrappers)


def wrapped_hash(weights: str, chat: "Chat | RemoteChat") -> str:
    """The hash of a model with what is around it. Raises UserError where it was made for other weights."""
    if not chat.wrappers:
        return weights
    if any(wrapper.made_for not in ("", weights) for wrapper in chat.wrappers):
        raise UserError(f"{chat.name}: the model inside has changed since it was wrapped; make it again with demur align")
    digest = hashlib.sha256(weights.encode())
    for wrapper in chat.wrappers:
        digest.update(json.dumps(wrapper.spec, sort_keys=True, default=str).encode())
        for name, tensor in sorted(wrapper.tensors.items()):
            digest.update(name.encode() + tensor.float().cpu().numpy().tobytes())
    return digest.hexdigest()


def save_wrapped(chat: "Chat", folder: Path, weights: str) -> None:
    """Save what is around a model with the hash of its `weights`, and none of them."""
    from safetensors.torch import save_file

    from demur.chat import public_source

    commit = getattr(chat.model.config, "_commit_hash", None)
    content = {"format": FORMAT, "about": ABOUT, "source": public_source(chat.source)}
    content |= {"revision": chat.options.revision if Path(chat.source).exists() else commit or chat.options.revision, "made_for": weights}
    shutil.rmtree(folder, ignore_errors=True)
    write_json(folder / WRAPPER_FILE, content | {"wrappers": [dict(wrapper.spec) for wrapper in chat.wrappers]})
    found = {name: tensor.contiguous() for wrapper in chat.wrappers for name, tensor in wrapper.tensors.items()}
    if found:
        save_file(found, folder / DIRECTIONS)
    if chat.options.chat_template:
        shutil.copy(chat.options.chat_template, folder / TEMPLATE)


def load_wrapped(folder: Path, options: ChatOptions, name: str) -> "Chat":
    """The model that `folder` names, with what is around it. Raises UserError where the file is damaged or the model is gone."""
    from safetensors.torch import load_file

    from demur.chat import load_chat

    file = folder / WRAPPER_FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        known, source, revision = content["format"] == FORMAT, str(content["source"]), str(content["revision"])
        made_for, specs = str(content["made_for"]), [dict(spec) for spec in content["wrappers"]]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: damaged ({error}); make the model again with demur align") from None
    if not known:
        raise UserError(f"{file}: format {content['format']}, this version of demur knows {FORMAT}; use the version that wrote it")
    if Path(source).is_absolute() and not Path(source).exists():
        raise UserError(f"{file}: the model that it is put around is not at {source}; put it there, or write its place into the file")
    template = str(folder / TEMPLATE) if (folder / TEMPLATE).is_file() else ""
    options = replace(options, revision=options.revision or revision, chat_template=options.chat_template or template)
    chat = load_chat(source, options, name)
    tensors = load_file(folder / DIRECTIONS) if (folder / DIRECTIONS).is_file() else {}
    for spec in specs:
        if str(spec.get("name", "")).endswith(".py") and not options.trust_remote_code:
            raise UserError(f"{file}: names code of its own ({spec['name']}); read it, and then load the model with --trust-remote-code")
        chat = put_around(chat, replace(wrapper_of(spec, tensors), made_for=made_for, folder=str(folder)))
    return chat
