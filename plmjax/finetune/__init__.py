"""Fine-tuning: a task of plmjax.tasks, done by a network the way that its paper did it."""
