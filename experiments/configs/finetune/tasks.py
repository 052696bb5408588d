r"""Tasks by name, for `experiments.finetune --task=NAME`; each of their fields is set by --task.FIELD=VALUE.

    python -m experiments.finetune --from=runs/bert_mini --task=sst2
    python -m experiments.finetune --from=runs/bert_mini --task=sst2_files --task.train=train.tsv \
        --task.validation=dev.tsv
    python -m experiments.finetune --from=runs/bert_mini --task=classification --task.train=my.tsv --task.text=review

A file of your own with a `get_config` like this one's serves as well: --task=my_tasks.py:NAME.
"""

from plmjax.tasks.registry import named


def get_config(name: str = "classification"):
    """The task of a name in plmjax/tasks/registry.py."""
    return named(name)
