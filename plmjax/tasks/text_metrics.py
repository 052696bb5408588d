"""Metrics of written texts.

They are those of sacrebleu (Post 2018) and rouge-score (Lin 2004), from 0 to 100 as papers print them. Those with
"match" and squad_f1, the latter by SQuAD's rules, are shares; perplexity is that of the target's tokens under the
network, so that it depends on the tokenizer.

The libraries' usual tokenizers see nothing in other scripts than the Latin one (rouge-score) or no words where no
blanks part them (sacrebleu's 13a), and a perfect text would score 0. The references' script decides: ROUGE reads texts
in other scripts as words, or as characters where no blanks part words; BLEU reads Chinese by sacrebleu's "zh" and the
other scripts without blanks by "char". What Latin texts score does not change.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np
from rouge_score import rouge_scorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu.metrics import BLEU, CHRF

from plmjax.data.store.sentences import split_sentences
from plmjax.tasks.exact_match import exact_match, f1
from plmjax.tasks.metrics import Metric, register

PERPLEXITY = "perplexity"  # the one metric that is taken from the loss
References = Sequence[Sequence[str]]
LATIN, CHINESE = "LATIN", "CJK"
WITHOUT_BLANKS = frozenset({CHINESE, "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"})


@cache
def _script(character: str) -> str:
    """The script of a letter or of a mark on one, in Unicode's word; empty for other characters."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    return unicodedata.name(character, "UNKNOWN").split()[0]


def script_of(texts: Sequence[str]) -> str:
    """The script of most letters; where some are kana, the text is Japanese and its Han characters count as kana."""
    counts = Counter(script for text in texts for character in text if (script := _script(character)))
    if not counts:
        return LATIN
    kana = max(("HIRAGANA", "KATAKANA"), key=lambda name: counts[name])
    if counts[kana] and counts[CHINESE]:
        counts[kana] += counts.pop(CHINESE)
    return counts.most_common(1)[0][0]


class OtherScripts(Tokenizer):
    """ROUGE's tokens of a text in another script than the Latin one."""

    def tokenize(self, text: str) -> list[str]:
        return list(_words(text.lower()))


def _words(text: str) -> Iterator[str]:
    """Runs of letters, marks and digits; a character alone where its script has no blanks between words."""
    word = ""
    for character in text:
        alone = _script(character) in WITHOUT_BLANKS and unicodedata.category(character)[0] == "L"
        part = unicodedata.category(character)[0] in "LMN"
        if word and (alone or not part):
            yield word
            word = ""
        if alone or part:
            word += character
    if word:
        yield word


def _exact_match(written: Sequence[str], references: References) -> float:
    right = [
        " ".join(text.split()) in {" ".join(one.split()) for one in known}
        for text, known in zip(written, references, strict=True)
    ]
    return sum(right) / len(right)


def _bleu(references: References, usual: str = "13a") -> BLEU:
    """BLEU with the tokenizer that the references' script needs."""
    script = script_of([text for known in references for text in known])
    if script == CHINESE:
        return BLEU(tokenize="zh")
    return BLEU(tokenize="char" if script in WITHOUT_BLANKS else usual)


def _corpus_score(metric: Any, references: References, written: Sequence[str]) -> float:
    most = max(map(len, references))
    streams = [[known[place] if place < len(known) else None for known in references] for place in range(most)]
    return float(metric.corpus_score(list(written), streams).score)


def _rouge(name: str, references: References, written: Sequence[str], _: Sequence[str]) -> float:
    """The mean of the best F1 over an example's references."""
    latin = rouge_scorer.RougeScorer([name], use_stemmer=True)
    other = rouge_scorer.RougeScorer([name], tokenizer=OtherScripts())
    lines = _sentences if name == "rougeLsum" else str
    scores = []
    for text, known in zip(written, references, strict=True):
        scorer = latin if script_of(known) == LATIN else other
        scores.append(scorer.score_multi([lines(one) for one in known], lines(text))[name].fmeasure)
    return 100 * float(np.mean(scores))


def _sentences(text: str) -> str:
    """A sentence a line, which is what rougeLsum compares: a line of the text is one or several."""
    return "\n".join(sentence for line in text.split("\n") for sentence in split_sentences("en", line))


ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
for _metric in (
    Metric("bleu", ("seq2seq",), lambda t, p, _: _corpus_score(_bleu(t), t, p), scale=100.0),
    Metric("bleu_intl", ("seq2seq",), lambda t, p, _: _corpus_score(_bleu(t, "intl"), t, p), scale=100.0),
    Metric("chrf", ("seq2seq",), lambda t, p, _: _corpus_score(CHRF(), t, p), scale=100.0),
    *(Metric(name, ("seq2seq",), partial(_rouge, name), scale=100.0) for name in ROUGE),
    Metric("exact_match", ("seq2seq",), lambda t, p, _: _exact_match(p, t), is_share=True),
    Metric("squad_f1", ("seq2seq",), lambda t, p, _: float(np.mean(list(map(f1, p, t))))),
    Metric(
        "squad_exact_match", ("seq2seq",), lambda t, p, _: float(np.mean(list(map(exact_match, p, t)))), is_share=True
    ),
    Metric(PERPLEXITY, ("seq2seq",), None, lower_is_better=True),
):
    register(_metric)


def signatures(names: Sequence[str], references: References) -> list[str]:
    """The libraries' signatures of those of the metrics that have one: how the numbers of these texts are taken."""
    found = []
    for name, metric in (("bleu", _bleu(references)), ("bleu_intl", _bleu(references, "intl")), ("chrf", CHRF())):
        if name in names:
            _corpus_score(metric, references, [known[0] for known in references])
            found.append(f"{name}: {metric.get_signature()}")
    if set(ROUGE) & set(names):
        form = "case:lower|stemmer:porter|Lsum:sentencex"
        if (script := script_of([text for known in references for text in known])) != LATIN:
            form = f"case:lower|{'characters' if script in WITHOUT_BLANKS else 'words'}|Lsum:sentencex"
        found.append(f"rouge: F1, best reference|{form}|version:{version('rouge-score')}")
    return found
