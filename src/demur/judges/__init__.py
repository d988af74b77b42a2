"""One file a judge. `judge(prompts, responses, config)` returns one Verdict a response; `prompts[i]` belongs to `responses[i]`."""

from collections.abc import Callable, Sequence
from typing import Any

from demur.types import Label, Prompt, Response, Verdict

Check = Callable[[Prompt, str, Any], tuple[Label, str] | tuple[Label, str, bool | None]]


def judge_each(name: str, check: Check) -> Callable[[Sequence[Prompt], Sequence[Response], Any], list[Verdict]]:
    """Turn `check(prompt, text, config) -> (label, why)` or `(label, why, exact)` into a judge of many responses."""

    def judge(prompts: Sequence[Prompt], responses: Sequence[Response], config: Any) -> list[Verdict]:
        full_name = f"{name}/{config.part}" if hasattr(config, "part") else name
        verdicts = []
        for prompt, response in zip(prompts, responses, strict=True):
            verdicts.append(Verdict(response.prompt, response.model, full_name, *check(prompt, response.text, config)))
        return verdicts

    return judge
