"""One file an attack. `attack(prompts, chat, config)` returns attacked prompts, so attacked and plain prompts go one way."""
