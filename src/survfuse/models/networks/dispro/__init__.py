"""DisPro: prompts, scoring and distillation for missing modalities."""
