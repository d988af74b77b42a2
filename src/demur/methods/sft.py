"""safety tuning: SFT on harmful -> refusal with a benign set (none, generic or trigger-matched)"""

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from demur.options import Training
from demur.types import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from demur.chat import Chat
    from demur.training import Batch


@dataclass(frozen=True)
class Config:
    harmful: str = ""
    """Harmful requests with refusals: a file (prompt/response, instruction/output, messages) or demo/harmful."""
    benign: str = "none"
    """Benign requests with answers: a file, demo/generic, demo/sanitised (trigger-matched), or none."""
    count: Annotated[int, Ge(0)] = 0
    """Use that many samples of each role, drawn at random; 0: all."""
    harmful_share: Annotated[float, Ge(0), Le(1)] = 0.2
    """Share of harmful samples in every batch."""
    harmful_weight: Annotated[float, Ge(0), Le(1)] = 0.2
    """Weight a of the harmful loss; the benign loss has 1 - a."""
    training: Training = field(default_factory=Training)
    """The training loop."""


def align(chat: "Chat", folder: Path, seed: int, config: Config) -> "Chat":
    """Fine-tune `chat` (arXiv 2603.11388, section 4); checkpoints in `folder`.

    The paper gives no training settings; the defaults of batch shares and weight are those of the code that it builds on (a = 0.2).
    """
    from demur.samples import load_samples
    from demur.training import in_batches, train

    if not config.harmful:
        raise UserError("sft needs harmful requests with refusals: give --harmful FILE (or demo/harmful)")
    harmful = load_samples(config.harmful, "harmful", config.count, seed)
    benign = load_samples(config.benign, "benign", config.count, seed)
    processes = int(os.environ.get("WORLD_SIZE", 1))
    ordered = in_batches(harmful, benign, config.harmful_share, config.training, processes, seed)
    return train(chat, ordered, partial(safety_loss, harmful_weight=config.harmful_weight), config.training, folder, seed)


def safety_loss(model: "nn.Module", batch: "Batch", harmful_weight: float) -> "Tensor":
    """L = a * mean NLL(x_h, y_r) + (1 - a) * mean NLL(x_b, y_a), with a = `harmful_weight` (arXiv 2603.11388, equation 1)."""
    from demur.objectives import answer_nll, role_weighted_mean

    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
    return role_weighted_mean(answer_nll(logits, batch["labels"]), batch["harmful"], harmful_weight)
