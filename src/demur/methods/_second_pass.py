"""A second pass of a model through the same answers after another request, beside the first: what contrastive decoding needs"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LogitsProcessor

from demur.caches import expanded
from demur.chat import Chat
from demur.generate import check_lengths, left_padded, positioned, rope_switch, shared_beginning
from demur.types import Prompt, UserError
from demur.wrapper import Attend

Combine = Callable[[Float[Tensor, "row vocabulary"], Float[Tensor, "row vocabulary"]], Float[Tensor, "row vocabulary"]]


class SecondPass(LogitsProcessor):
    """Replaces the logits of the first `steps` tokens (0: of all) by `combine(logits after the rows, the model's own logits)`.

    `rows` are the same requests in another form, in the order of the batch; what all of them begin with is computed once. Raises UserError
    for a model without a key-value cache.
    """

    def __init__(self, chat: Chat, rows: Sequence[list[int]], combine: Combine, steps: int = 0):
        self.model: Any = chat.model
        self.name, self.combine, self.left = chat.name, combine, steps or -1
        prefix = None if rope_switch(chat) else shared_beginning(chat, rows)
        shared = prefix.get_seq_length() if prefix else 0
        inputs = left_padded(chat, rows, shared)
        self.mask = inputs["attention_mask"]
        self.cache: Any = expanded(prefix, len(rows)) if prefix else None
        self.unread: Any = inputs["input_ids"][:, shared:]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows of the batch alone."""
        places = torch.tensor(list(rows), device=self.mask.device, dtype=torch.long)
        self.mask = self.mask[places]
        if self.cache is not None and len(places):
            self.cache.batch_select_indices(places)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if self.left == 0:
            self.cache = None
            return scores
        combined: Any = self.combine(self.logits(input_ids[:, -1:]).to(scores.device), scores.float())
        self.left -= 1
        return combined

    def logits(self, last: Int[Tensor, "row 1"]) -> Float[Tensor, "row vocabulary"]:
        """The logits of the next token after the rows and their answers so far, whose last token is `last`."""
        tokens = self.unread
        if tokens is None:
            tokens = last
            self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        self.unread = None
        places = positioned({"attention_mask": self.mask})["position_ids"][:, -tokens.shape[1] :]
        output = self.model(
            input_ids=tokens,
            attention_mask=self.mask,
            position_ids=places,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.cache = getattr(output, "past_key_values", None)
        if self.cache is None:
            raise UserError(f"{self.name}: {type(self.model).__name__} keeps no keys and values, which a second pass needs; wrap another")
        return output.logits[:, -1].float()


def contrasted(combine: Combine, system: str, steps: int = 0) -> Attend:
    """Answer with the logits contrasted with those under another system prompt, which stands in front of the chat's own."""

    @contextmanager
    def attend(chat: Chat, prompts: Sequence[Prompt]) -> Iterator[SecondPass]:
        both = "\n\n".join(filter(None, (system, chat.options.system)))
        rows = [chat.request_tokens(prompt.text, prompt.prefill, both) for prompt in prompts]
        check_lengths(chat, list(zip(prompts, rows, strict=True)), steps or 1)
        yield SecondPass(chat, rows, combine, steps)

    return attend
