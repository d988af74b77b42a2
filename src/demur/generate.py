"""Batched generation, refusal log-odds and hidden states: with chat.py the only code that calls a model."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from jaxtyping import Float, Int
from torch import Tensor

from demur.chat import Chat
from demur.options import Generation
from demur.types import Prompt, Response, UserError

# A refusal's first word decides it in the models that we know; openings are compared by their first token.
REFUSAL_OPENINGS = ("I'm", "I’m", "I am", "I cannot", "Sorry", "Unfortunately", "As an AI")
LARGEST_BATCH = 256
THINKING = ("<think>", "</think>")


def generate(chat: Chat, prompts: Sequence[Prompt], generation: Generation) -> Iterator[list[Response]]:
    """Answer all prompts, longest first so that the first batch meets the worst case; yields the responses of each finished batch.

    Answers do not depend on the batch size. A batch that does not fit into the GPU's memory is halved and tried again.
    """
    rows = [(prompt, chat.request_tokens(prompt.text, prompt.prefill)) for prompt in prompts]
    check_lengths(chat, rows, generation.max_tokens)
    rows.sort(key=lambda row: (-len(row[1]), row[0].id))
    size = generation.batch_size or fitting_batch_size(chat, len(rows[0][1]) + generation.max_tokens if rows else 1)
    start = 0
    while start < len(rows):
        batch = rows[start : start + size]
        try:
            answers = generate_batch(chat, [tokens for _, tokens in batch], generation)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            torch.cuda.empty_cache()
            size = max(size // 2, 1)
            continue
        yield [response(chat, prompt, answer) for (prompt, _), answer in zip(batch, answers, strict=True)]
        start += size


def check_lengths(chat: Chat, rows: Sequence[tuple[Prompt, list[int]]], max_tokens: int) -> None:
    limit = getattr(chat.model.config.get_text_config(), "max_position_embeddings", None)
    for prompt, tokens in rows:
        if limit and len(tokens) + max_tokens > limit:
            raise UserError(
                f"prompt {prompt.id}: {len(tokens)} tokens and an answer of {max_tokens} exceed the {limit} positions of {chat.name}; "
                "lower --max-tokens or leave the prompt out"
            )


def fitting_batch_size(chat: Chat, length: int) -> int:
    """As many rows of `length` tokens as leave a third of the free memory unused, by the size of their key-value cache."""
    config = chat.model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    row = 2 * config.num_hidden_layers * heads * head_size * length * chat.model.dtype.itemsize + 8 * config.vocab_size
    fits = int(free_memory(chat.device) * 2 / 3 / row)
    return min(max(1 << max(fits.bit_length() - 1, 0), 1), LARGEST_BATCH)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had on the device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available


def left_padded(chat: Chat, rows: Sequence[list[int]]) -> dict[str, Int[Tensor, "prompt token"]]:
    length = max(map(len, rows))
    pad = chat.tokenizer.pad_token_id
    tokens = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    return {"input_ids": tokens.to(chat.device), "attention_mask": mask.to(chat.device)}


@torch.inference_mode()
def generate_batch(chat: Chat, rows: Sequence[list[int]], generation: Generation) -> list[tuple[list[int], bool]]:
    """New token ids of each row, without the end token, and whether the row ended by itself."""
    sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if generation.temperature > 0:
        torch.manual_seed(generation.seed + sum(map(sum, rows)))  # tied to the batch, so that a resumed run draws the same
        sampling = {"do_sample": True, "temperature": generation.temperature, "top_p": generation.top_p, "top_k": 0}
    inputs = left_padded(chat, rows)
    model: Any = chat.model
    output = model.generate(
        **inputs,
        **sampling,
        max_new_tokens=generation.max_tokens,
        eos_token_id=chat.end_tokens,
        pad_token_id=chat.tokenizer.pad_token_id,
    )
    return [up_to_end(row, chat.end_tokens) for row in output[:, inputs["input_ids"].shape[1] :].tolist()]


def up_to_end(tokens: list[int], ends: Sequence[int]) -> tuple[list[int], bool]:
    end = next((index for index, token in enumerate(tokens) if token in ends), None)
    return tokens[:end], end is not None


def response(chat: Chat, prompt: Prompt, answer: tuple[list[int], bool]) -> Response:
    tokens, ended = answer
    opened = chat.render(prompt.text).rstrip().endswith(THINKING[0])
    thinking, text = split_thinking(str(chat.tokenizer.decode(tokens, skip_special_tokens=True)), opened)
    return Response(prompt.id, chat.name, prompt.prefill + text, "stop" if ended else "length", thinking)


def split_thinking(text: str, opened: bool) -> tuple[str, str]:
    """The reasoning and the answer. Reasoning that was never closed leaves no answer; `opened`: the template opened it."""
    start, end = THINKING
    if not opened and not text.lstrip().startswith(start):
        return "", text
    thinking, _, answer = text.partition(end)
    return thinking.strip().removeprefix(start).strip(), answer.lstrip()


@torch.inference_mode()
def refusal_log_odds(
    chat: Chat, prompts: Sequence[Prompt], batch_size: int = 0, openings: Sequence[str] = REFUSAL_OPENINGS
) -> Float[Tensor, " prompt"]:
    """log p/(1-p), with p the probability that the answer's first token begins a refusal (arXiv 2406.11717, section 2.3)."""
    refusing = torch.tensor(sorted({chat.tokens(opening)[0] for opening in openings}), device=chat.device)
    result = torch.empty(len(prompts))
    for indices, rows in by_length(chat, prompts, batch_size):
        logits = chat.model(**left_padded(chat, rows), logits_to_keep=1, use_cache=False).logits[:, -1].float()
        others = torch.ones(logits.shape[-1], dtype=torch.bool, device=chat.device)
        others[refusing] = False
        result[indices] = (logits[:, refusing].logsumexp(-1) - logits[:, others].logsumexp(-1)).cpu()
    return result


@torch.inference_mode()
def hidden_states(
    chat: Chat,
    prompts: Sequence[Prompt],
    layers: Sequence[int],
    positions: Sequence[int] = (-1,),
    file: Path | None = None,
    batch_size: int = 0,
) -> numpy.ndarray:
    """Hidden states [prompt, layer, position, hidden] as float32: layer 0 is the embedding, layer i what decoder layer i gives.

    `positions` count from the end of the prompt (-1: its last token). With `file` the array lies on disk as .npy and is memory-mapped,
    so that memory does not grow with the number of prompts.
    """
    shape = (len(prompts), len(layers), len(positions), chat.model.config.get_text_config().hidden_size)
    result: numpy.ndarray
    if file:
        result = numpy.lib.format.open_memmap(file, mode="w+", dtype=numpy.float32, shape=shape)
    else:
        result = numpy.empty(shape, dtype=numpy.float32)
    for indices, rows in by_length(chat, prompts, batch_size):
        states = chat.model.get_decoder()(**left_padded(chat, rows), output_hidden_states=True, use_cache=False).hidden_states
        chosen = torch.stack([states[layer][:, list(positions)] for layer in layers], dim=1)
        result[indices] = chosen.float().cpu().numpy()
    return result


def by_length(chat: Chat, prompts: Sequence[Prompt], batch_size: int) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Batches of (indices into prompts, token rows) of similar length, longest first."""
    rows = [chat.request_tokens(prompt.text, prompt.prefill) for prompt in prompts]
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
    size = batch_size or (fitting_batch_size(chat, len(rows[order[0]])) if rows else 1)
    for start in range(0, len(order), size):
        indices = order[start : start + size]
        yield indices, [rows[index] for index in indices]
