"""The tasks of writing that have names: summaries and translations."""

from collections.abc import Callable
from functools import partial
from typing import Any

from plmjax.tasks.seq2seq import Seq2SeqTask

ROUGE = ("rougeLsum", "rouge1", "rouge2", "rougeL")  # as Lewis et al. 2019 report them; the first is their "RL"

# name -> (source in TFDS; fields of the text and the summary)
SUMMARIES: dict[str, tuple[str, tuple[str, str]]] = {
    "cnn_dm": ("cnn_dailymail", ("article", "highlights")),
    "xsum": ("xsum", ("document", "summary")),
    "aeslc": ("aeslc", ("email_body", "subject_line")),
}
# name -> (source in TFDS; the languages read and written), with newstest2013 or newsdev2016 to choose by and the next
# year's or 2016's newstest to test on.
TRANSLATIONS: dict[str, tuple[str, tuple[str, str]]] = {
    "wmt_en_de": ("wmt14_translate/de-en", ("en", "de")),
    "wmt_en_fr": ("wmt14_translate/fr-en", ("en", "fr")),
    "wmt_en_ro": ("wmt16_translate/ro-en", ("en", "ro")),
    "wmt_ro_en": ("wmt16_translate/ro-en", ("ro", "en")),
}


def summary(name: str) -> Seq2SeqTask:
    """A summary, or a mail's subject."""
    source, (text, target) = SUMMARIES[name]
    return Seq2SeqTask(
        train=f"tfds:{source}:train",
        validation=f"tfds:{source}:validation",
        test=(f"tfds:{source}:test",),
        text=text,
        target=target,
        metric=ROUGE,
    )


def summary_files(name: str) -> Seq2SeqTask:
    """The same of files with TFDS's names for the fields."""
    _, (text, target) = SUMMARIES[name]
    return Seq2SeqTask(text=text, target=target, metric=ROUGE)


def aeslc_files() -> Seq2SeqTask:
    """JSON lines of a mail's `body` and `subject`."""
    return Seq2SeqTask(text="body", target="subject", metric=ROUGE)


def translation(name: str) -> Seq2SeqTask:
    source, (read, written) = TRANSLATIONS[name]
    return Seq2SeqTask(
        train=f"tfds:{source}:train",
        validation=f"tfds:{source}:validation",
        test=(f"tfds:{source}:test",),
        text=read,
        target=written,
        metric=("bleu", "chrf"),
    )


def multi30k_files() -> Seq2SeqTask:
    """Two files with a line for a line: --task.train=train.en.gz,train.de.gz."""
    return Seq2SeqTask(text="en", target="de", metric=("bleu", "chrf"))


def wikisplit_files() -> Seq2SeqTask:
    """Lines of a sentence and the two that it is split into (Botha et al. 2018)."""
    return Seq2SeqTask(columns=("text", "target"), metric=("bleu", "exact_match"))


WRITING: dict[str, Callable[[], Any]] = {
    **{name: partial(summary, name) for name in SUMMARIES},
    **{name: partial(translation, name) for name in TRANSLATIONS},
    "cnn_dm_files": partial(summary_files, "cnn_dm"),
    "xsum_files": partial(summary_files, "xsum"),
    "aeslc_files": aeslc_files,
    "multi30k_files": multi30k_files,
    "wikisplit_files": wikisplit_files,
}
