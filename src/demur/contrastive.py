"""The formulas of methods that change no weight: contrasts of logits, directions and similarities of hidden states"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def adaptive_contrast(
    refusing: Float[Tensor, "row vocabulary"],
    plain: Float[Tensor, "row vocabulary"],
    strength: float = 4.5,
    agreement: float = 0.9,
    confidence: float = 0.9,
    plausible: float = 0.01,
) -> Float[Tensor, "row vocabulary"]:
    """AdaCD (arXiv 2604.17132): z = p + a(p - q) where the model would refuse by itself, else z = p - a(p - q); p are the logits under a
    system prompt that asks for refusals (`refusing`), q the `plain` ones.

    It would where p and q agree, 1 / (rank of p's best token in q + 1) >= `agreement`, and q is as sure of its best token as p of its own:
    max prob_q >= `confidence` * max prob_p. Tokens with prob_q < `plausible` * max prob_q get -inf.
    """
    best = plain.gather(1, refusing.argmax(1, keepdim=True))
    agreed = 1 / ((plain > best).sum(1) + 1) >= agreement
    sure = plain.softmax(1).amax(1) >= confidence * refusing.softmax(1).amax(1)
    sign = torch.where(agreed & sure, 1.0, -1.0)[:, None]
    return implausible_masked(refusing + sign * strength * (refusing - plain), plain, plausible)


def safety_contrast(
    careful: Float[Tensor, "row vocabulary"], plain: Float[Tensor, "row vocabulary"], strength: float = 2.5, plausible: float = 0.0
) -> Float[Tensor, "row vocabulary"]:
    """Self-CD (Shi et al., OverKill, ACL 2024): s_with - a (s_with - s_without) a system prompt that asks for safety. As published no token
    is masked; with `plausible` above 0 those with a plain probability below that share of the largest get -inf."""
    return implausible_masked(careful - strength * (careful - plain), plain, plausible)


def implausible_masked(
    contrasted: Float[Tensor, "row vocabulary"], plain: Float[Tensor, "row vocabulary"], share: float
) -> Float[Tensor, "row vocabulary"]:
    """-inf for tokens whose plain probability is below `share` of the largest one: prob < s * max prob, as a difference of logits."""
    if not share:
        return contrasted
    lowest = plain.amax(1, keepdim=True) + torch.tensor(share).log().to(plain.device)
    return contrasted.masked_fill(plain < lowest, -torch.inf)


def difference_directions(
    harmful: Float[Tensor, "harmful layer hidden"], harmless: Float[Tensor, "harmless layer hidden"]
) -> Float[Tensor, "layer hidden"]:
    """v_l: the difference of the mean states, of length 1 in every layer (arXiv 2408.11491)."""
    difference = harmful.mean(0) - harmless.mean(0)
    return difference / difference.norm(dim=1, keepdim=True).clamp(min=1e-12)


def transition_similarity(
    transitions: Float[Tensor, "prompt layer hidden"], reference: Float[Tensor, "layer hidden"]
) -> Float[Tensor, " prompt"]:
    """The cosine of each prompt's transition with that of harmful requests, averaged over layers (arXiv 2408.11491)."""
    return torch.cosine_similarity(transitions, reference[None], dim=2).mean(1)


def steering_signs(similarity: Float[Tensor, " prompt"], threshold: float) -> Float[Tensor, " prompt"]:
    """+1, towards refusal, where a request is unsafe (similarity >= threshold); -1, away from it, where it is safe."""
    unsafe: Bool[Tensor, " prompt"] = similarity >= threshold
    return torch.where(unsafe, 1.0, -1.0)


def scaled_layer(layer: int, count: int, published: int = 32) -> int:
    """A layer of a model of `published` decoder layers in one of `count`: at the same share of the depth, from 1 to `count`."""
    return min(max(round(layer * count / published), 1), count)
