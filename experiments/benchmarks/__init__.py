"""What experiments.benchmark and experiments.architectures measure."""
