"""Training objectives: pure tensor functions, each formula once, with its source."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

IGNORED = -100


def answer_nll(logits: Float[Tensor, "sample token vocabulary"], labels: Int[Tensor, "sample token"]) -> Float[Tensor, " sample"]:
    """Mean negative log-likelihood (nats per token) of each sample's labelled tokens; labels of -100 are masked.

    `labels[:, t]` is predicted from `logits[:, t - 1]`. A sample without any label has the value 0.
    """
    targets = labels[:, 1:]
    wanted = targets != IGNORED
    # Only labelled positions pass through the softmax: with long prompts that is most of the vocabulary-sized work saved.
    losses = torch.nn.functional.cross_entropy(logits[:, :-1][wanted].float(), targets[wanted], reduction="none")
    sums = torch.zeros(len(labels), dtype=losses.dtype, device=losses.device).index_add(0, wanted.nonzero()[:, 0], losses)
    return sums / wanted.sum(1).clamp(min=1)


def role_weighted_mean(losses: Float[Tensor, " sample"], harmful: Bool[Tensor, " sample"], harmful_weight: float) -> Float[Tensor, ""]:
    """a * mean over harmful samples + (1 - a) * mean over benign ones, with a = `harmful_weight`.

    arXiv 2603.11388 writes sums, whose balance would hang on the batching; means per role keep it at a. Where a batch has
    one role alone, its mean is the loss.
    """
    if harmful.all() or not harmful.any():
        return losses.mean()
    return harmful_weight * losses[harmful].mean() + (1 - harmful_weight) * losses[~harmful].mean()
