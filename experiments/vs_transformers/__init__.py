"""plmjax beside `transformers` with PyTorch: the same fine-tuning by both, each in a process of its own."""
