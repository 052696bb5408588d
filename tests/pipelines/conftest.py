"""The tokenizer and the tiny checkpoints of fine-tuning's tests."""

from tests.finetune.conftest import tokenizer  # noqa: F401
