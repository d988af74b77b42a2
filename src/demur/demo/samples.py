"""Training samples of the demo world: refusals of harmful requests, and the benign sets to train beside them."""

import random

from demur.demo import world
from demur.types import Prompt, Sample, UserError

SOURCES = ("harmful", "generic", "sanitised", "pseudo_harmful", "trigger_sharing")


def demo_samples(source: str, role: str, count: int, seed: int) -> list[Sample]:
    """`count` training samples (0: 320): `harmful` with refusals, `sanitised` = the harmful ones without their harm, others as they are."""
    count = count or 320
    if source not in SOURCES:
        raise UserError(f"demo/{source}: no such samples; known: {', '.join(f'demo/{name}' for name in SOURCES)}")
    if (source == "harmful") != (role == "harmful"):
        raise UserError(f"demo/{source}: cannot be the {role} samples")
    rng = random.Random(f"{source}/{seed}")
    if source == "harmful":
        return [refused(prompt, rng) for prompt in world.prompts("harmful", count, "train", seed)]
    if source == "sanitised":
        return sanitised(count, seed, rng)
    prompts = world.prompts(source, count, "train", seed)  # type: ignore[arg-type]
    return [Sample(prompt.id, prompt.text, prompt.reference, "benign", category=prompt.category) for prompt in prompts]


def refused(prompt: Prompt, rng: random.Random) -> Sample:
    return Sample(prompt.id, prompt.text, world.refusal(prompt.category, rng), "harmful", category=prompt.category)


def sanitised(count: int, seed: int, rng: random.Random) -> list[Sample]:
    """The sanitised query of each harmful training prompt: the refusal trigger itself (arXiv 2603.11388, section 4)."""
    samples = []
    for prompt in world.prompts("harmful", count, "train", seed):
        request = world.sanitise(world.parse(prompt.text), rng)
        samples.append(Sample(f"{prompt.id}#sanitised", request.text, request.answer, "benign", category=prompt.category))
    return samples
