"""Chat = model + tokenizer + chat template: the one door to a model. generate.py is the only other file that calls a model."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from demur.heap import keep_freed_memory
from demur.options import ChatOptions
from demur.processes import process_count
from demur.types import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from demur.wrapper import Wrapper

EMBEDDED = ("demo/base", "demo/chat")
MARKER = "<answer goes here>"
THINKING = ("<think>", "</think>")


@dataclass(frozen=True)
class Chat:
    """A model that can be talked to. Methods return a new Chat, so trained and plain models go one way.

    `name` is what scores call it, `source` the folder or Hub id that its weights came from, `wrappers` what its answers come through, the
    first one innermost.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    name: str
    source: str = ""
    options: ChatOptions = field(default_factory=ChatOptions)
    wrappers: "tuple[Wrapper, ...]" = ()

    @property
    def device(self) -> Any:
        return self.model.get_input_embeddings().weight.device

    def render(self, text: str, system: str | None = None) -> str:
        """The request in the model's chat template, up to where the answer begins.

        A template that knows no system role (Gemma's) gets the system prompt in front of the request.
        """
        return self.apply_template(self.messages(text, system), add_generation_prompt=True)

    def messages(self, text: str, system: str | None = None) -> list[dict[str, str]]:
        """The request as chat messages, with the system prompt (None: that of the options) in front of it."""
        system = self.options.system if system is None else system
        if system and not self.has_system_role:
            system, text = "", f"{system}\n\n{text}"
        return [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": text}]

    def apply_template(self, messages: list[dict[str, str]], **switches: Any) -> str:
        if self.options.thinking != "default":
            switches["enable_thinking"] = self.options.thinking == "on"
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, **switches))

    @cached_property
    def has_system_role(self) -> bool:
        messages = [{"role": "system", "content": MARKER}, {"role": "user", "content": "hello"}]
        try:
            return MARKER in self.apply_template(messages)
        except TemplateError:
            return False

    @cached_property
    def closing_token(self) -> int:
        """The special token that the template puts after an answer, which a trained answer learns to end with; else the tokenizer's."""
        rendered = self.apply_template([{"role": "user", "content": "hello"}, {"role": "assistant", "content": MARKER}])
        tokens = self.tokens(rendered[rendered.rindex(MARKER) + len(MARKER) :].strip())
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.get_added_vocab().values()}
        return tokens[0] if tokens and tokens[0] in special else self.tokenizer.eos_token_id

    @cached_property
    def end_tokens(self) -> list[int]:
        """Every token that ends an answer: the generation config's, the tokenizer's and the one of the template."""
        configured = self.model.generation_config.eos_token_id
        ends = set(configured if isinstance(configured, list) else [configured])
        return sorted((ends | {self.tokenizer.eos_token_id, self.closing_token}) - {None})

    def tokens(self, text: str) -> list[int]:
        """Token ids of a piece of a rendered chat (the template has put the special tokens in already)."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def opens_thinking(self, rendered: str) -> bool:
        return rendered.rstrip().endswith(THINKING[0])

    def request_tokens(self, text: str, prefill: str = "", system: str | None = None, answer_follows: bool = False) -> list[int]:
        """Token ids of a request and the beginning of its answer. Where the template opens a reasoning part and an answer is given,
        the reasoning is closed first, empty."""
        rendered = self.render(text, system)
        if self.opens_thinking(rendered) and (prefill or answer_follows):
            rendered = f"{rendered.rstrip()}\n\n{THINKING[1]}\n\n"
        return self.tokens(rendered) + (self.tokens(prefill) if prefill else [])


def load_chat(source: str, options: ChatOptions | None = None, name: str = "") -> Chat:
    """Load a causal LM from a local folder, a Hub id, a PEFT adapter (on the base model that it names), `demo/base` or `demo/chat`, or a
    folder with what is put around one (demur.wrapper).

    Raises UserError when there is no such model, the folder is none, or it has no chat template.
    """
    options = options or ChatOptions()
    path = embedded_path(source) if source in EMBEDDED else source
    folder = Path(path)
    if (folder / "wrapper.json").is_file():
        from demur.wrapper import load_wrapped

        return load_wrapped(folder, options, name or source)
    if folder.is_dir() and not any((folder / file).is_file() for file in ("config.json", "adapter_config.json")):
        raise UserError(f"{source}: not a model: the folder has neither config.json nor adapter_config.json; give the folder that has one")
    if not folder.exists() and (source.count("/") != 1 or source.startswith((".", "/", "demo/"))):
        embedded = " or ".join(EMBEDDED)
        raise UserError(f"{source}: no such model; give a folder, a Hub id (owner/name), {embedded}, or openai:NAME behind an endpoint")
    model, tokenizer = load_parts(str(folder.resolve()) if folder.exists() else path, source, options)
    chat = Chat(model, with_template(tokenizer, source, options), name or source, path, options)
    if chat.device.type == "cpu":
        keep_freed_memory()
    try:
        chat.render("hello")
    except TemplateError as error:
        raise UserError(f"{source}: the chat template does not work ({error}); give another with --chat-template FILE") from None
    return chat


def embedded_path(source: str) -> str:
    return str(files("demur.demo").joinpath("models", source.removeprefix("demo/")))


def public_source(source: str) -> str:
    """A model's source for others to load it by: the name of an embedded one, a folder's full path, a Hub id as it is."""
    embedded = next((name for name in EMBEDDED if Path(embedded_path(name)) == Path(source)), "")
    return embedded or (str(Path(source).resolve()) if Path(source).exists() else source)


def load_parts(path: str, source: str, options: ChatOptions) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    from peft import AutoPeftModelForCausalLM
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import find_adapter_config_file

    where: dict[str, Any] = {"revision": options.revision or None, "trust_remote_code": options.trust_remote_code}
    device = device_of(options)
    dtype = options.dtype if options.dtype != "auto" else "float32" if device == "cpu" else "auto"
    how: dict[str, Any] = {"dtype": dtype, "use_safetensors": True} | quantization(options)
    try:
        with quiet_progress(Path(path).is_dir()):
            # An adapter is loaded onto the base model that it names; as a PeftModel, so that it can be merged, trained on and saved again.
            adapter = find_adapter_config_file(path, revision=where["revision"])
            loader: Any = AutoPeftModelForCausalLM if adapter else AutoModelForCausalLM
            model = loader.from_pretrained(path, **where, **how)
            tokenizer = AutoTokenizer.from_pretrained(path, **where)
            model = model if options.quantization != "none" else model.to(device)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AssertionError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{source}: the model could not be loaded ({reason}); check the name, the files, the device and the network"
        ) from error
    return model.eval(), tokenizer


def with_merged_adapter(chat: Chat) -> Chat:
    """The chat with its LoRA adapter, if it has one, merged into its weights: answers come up to twice as fast. In half precision merging
    would round the weights, and a quantized model cannot take them; there the chat stays as it is."""
    from peft import PeftModel

    model: Any = chat.model
    exact = str(model.dtype) == "torch.float32" and not getattr(model, "is_quantized", False)
    return replace(chat, model=model.merge_and_unload()) if isinstance(model, PeftModel) and exact else chat


def device_of(options: ChatOptions) -> str:
    """The device, each process of `accelerate launch` its own GPU."""
    import torch

    if options.device != "auto":
        return options.device
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


@contextmanager
def quiet_progress(quiet: bool) -> Iterator[None]:
    """Without transformers' bars, which say nothing of a model that lies on disk; a download keeps them."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if quiet:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def quantization(options: ChatOptions) -> dict[str, Any]:
    if options.quantization == "none":
        return {}
    from transformers import BitsAndBytesConfig

    bits = {"load_in_4bit": options.quantization == "4bit", "load_in_8bit": options.quantization == "8bit"}
    # Of several processes each has a GPU of its own.
    return {"quantization_config": BitsAndBytesConfig(**bits), "device_map": "auto" if process_count() == 1 else {"": device_of(options)}}


def with_template(tokenizer: Any, source: str, options: ChatOptions) -> Any:
    if options.chat_template:
        file = Path(options.chat_template)
        if not file.is_file():
            raise UserError(f"{file}: no such chat template file")
        tokenizer.chat_template = file.read_text(encoding="utf-8")
    if not tokenizer.chat_template:
        raise UserError(f"{source}: the tokenizer has no chat template; give one with --chat-template FILE")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer
