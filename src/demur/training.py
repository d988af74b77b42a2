"""The training loop: transformers.Trainer (accelerate underneath) over batches with fixed shares of harmful and benign samples."""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from demur.chat import Chat
from demur.objectives import IGNORED
from demur.options import Training
from demur.progress import Advance, progress
from demur.types import Sample, UserError

Batch = dict[str, Tensor]
Objective = Callable[[torch.nn.Module, Batch], Tensor]


class ObjectiveTrainer(Trainer):
    """A Trainer whose loss is a function of (model, batch). The loss is a mean, so accumulation divides it."""

    loss_is_scaled_for_ga = False
    objective: Objective

    def __init__(self, *arguments: Any, objective: Objective, **options: Any):
        super().__init__(*arguments, **options)
        self.objective = objective

    def compute_loss(self, model: torch.nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        loss = self.objective(model, inputs)
        return (loss, None) if return_outputs else loss


class Reporter(TrainerCallback):
    """Moves the progress bar; a resumed training starts where its checkpoint was."""

    def __init__(self, advance: Advance):
        self.advance = advance
        self.loss = ""

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.advance(state.global_step)

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.loss = f"loss {float(logs['loss']):.3f}" if logs and "loss" in logs else self.loss

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.advance(1, self.loss)


def train(
    chat: Chat,
    samples: Sequence[Sample],
    objective: Objective,
    training: Training,
    folder: Path,
    seed: int,
) -> Chat:
    """Train `chat` on `samples`, taken in this order (see `in_batches`), and return it. Checkpoints in `folder` are resumed."""
    torch.manual_seed(seed)
    model = with_lora(chat.model, training)
    if training.gradient_checkpointing:
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    trainer = ObjectiveTrainer(
        model=model,
        args=arguments(chat, training, folder, seed),
        train_dataset=[encode(chat, sample) for sample in samples],
        data_collator=Collator(chat.tokenizer.pad_token_id),
        processing_class=chat.tokenizer,
        objective=objective,
    )
    checkpoint = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    trainer.remove_callback(PrinterCallback)
    with progress(f"{chat.name}: training", training.steps) as advance:
        trainer.add_callback(Reporter(advance))
        trainer.train(resume_from_checkpoint=checkpoint)
    model.eval()
    return replace(chat, model=trainer.accelerator.unwrap_model(model))


def arguments(chat: Chat, training: Training, folder: Path, seed: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=training.steps,
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.accumulation,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=int(training.warmup * training.steps),
        weight_decay=training.weight_decay,
        save_strategy="steps",
        save_steps=training.checkpoint_every,
        save_total_limit=1,
        logging_steps=10,
        report_to=training.report_to,
        seed=seed,
        use_cpu=chat.device.type == "cpu",
        bf16=chat.device.type == "cuda" and torch.cuda.is_bf16_supported(),
        remove_unused_columns=False,
        train_sampling_strategy="sequential",
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )


def with_lora(model: Any, training: Training) -> Any:
    """A new LoRA adapter on the model; a model that carries an adapter already gets it merged first."""
    from peft import LoraConfig, PeftModel, get_peft_model

    if isinstance(model, PeftModel):
        model = model.merge_and_unload()
    if not training.lora_rank:
        return model.requires_grad_(True)
    config = LoraConfig(
        r=training.lora_rank,
        lora_alpha=training.lora_alpha,
        lora_dropout=training.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def in_batches(
    harmful: Sequence[Sample], benign: Sequence[Sample], share: float, training: Training, processes: int, seed: int
) -> list[Sample]:
    """The samples in training order: each process's batch holds round(share * batch_size) harmful samples, the rest benign ones.

    Every role runs through its own samples in a new random order each time. Raises UserError when a role is empty that the share needs.
    """
    if not harmful:
        raise UserError("no harmful samples to train on: give some with --harmful")
    count = training.batch_size if not benign else min(max(round(share * training.batch_size), 1), training.batch_size - 1)
    if count == 0:
        raise UserError(f"batch_size {training.batch_size} cannot hold harmful and benign samples both: use at least 2")
    rng = random.Random(seed)
    first, second = endless(harmful, rng), endless(benign, rng)
    batches = training.steps * training.accumulation * processes
    blocks = ([*itertools.islice(first, count), *itertools.islice(second, training.batch_size - count)] for _ in range(batches))
    return list(itertools.chain.from_iterable(blocks))


def endless(samples: Sequence[Sample], rng: random.Random) -> Iterator[Sample]:
    while samples:
        yield from rng.sample(samples, len(samples))


def encode(chat: Chat, sample: Sample) -> dict[str, Any]:
    """Token ids and labels of one sample; request and prefix are masked, the end of the answer is learned."""
    given = chat.request_tokens(sample.prompt, sample.prefix, sample.system or None)
    answer = chat.tokens(sample.answer) + chat.tokens(chat.closing)[:1]
    return {"input_ids": given + answer, "labels": [IGNORED] * len(given) + answer, "harmful": sample.role == "harmful"}


@dataclass(frozen=True)
class Collator:
    """Right-pads encoded samples to the longest of their batch."""

    pad: int

    def __call__(self, rows: list[dict[str, Any]]) -> Batch:
        length = max(len(row["input_ids"]) for row in rows)

        def padded(key: str, filler: int) -> Tensor:
            return torch.tensor([row[key] + [filler] * (length - len(row[key])) for row in rows])

        mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (length - len(row["input_ids"])) for row in rows])
        harmful = torch.tensor([row["harmful"] for row in rows])
        return {"input_ids": padded("input_ids", self.pad), "labels": padded("labels", IGNORED), "attention_mask": mask, "harmful": harmful}
