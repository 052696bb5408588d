"""No perfect text scores 0, whatever its script; Latin texts score as the libraries have it."""

import pytest
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU

from plmjax.tasks.metrics import measure, metrics_of
from plmjax.tasks.text_metrics import script_of, signatures

NAMES = tuple(name for name in metrics_of("seq2seq") if name != "perplexity")
SHARES = ("exact_match", "squad_exact_match", "squad_f1")
TEXTS = {
    "Nepali": "प्रधानमन्त्रीको हत्याले देश स्तब्ध छ ।",
    "Hindi": "बिल्ली चटाई पर बैठी है ।",
    "Chinese": "今天天气很好。我们去公园散步。",
    "Japanese": "今日は天気がいいので、公園へ散歩に行きます。",
    "Korean": "오늘은 날씨가 좋아서 공원에 산책하러 갑니다.",
    "Thai": "วันนี้อากาศดีมากเราไปเดินเล่นที่สวน",
    "Arabic": "الطقس جميل اليوم ونحن نذهب إلى الحديقة",
    "Russian": "Сегодня хорошая погода, и мы идём гулять.",
    "Greek": "Σήμερα έχει καλό καιρό και πάμε βόλτα.",
    "Hebrew": "מזג האוויר יפה היום ואנחנו הולכים לפארק",
    "Burmese": "ဒီနေ့ရာသီဥတုကောင်းတယ်",
    "German": "Heute ist schönes Wetter, wir gehen in den Park.",
    "Vietnamese": "Hôm nay thời tiết đẹp, chúng tôi đi dạo công viên.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_perfect_text_has_all_and_an_empty_one_nothing(language: str) -> None:
    text = TEXTS[language]
    found = measure("seq2seq", NAMES, [[text]], [text])
    assert found == pytest.approx({name: 1.0 if name in SHARES else 100.0 for name in NAMES})
    nothing = measure("seq2seq", NAMES, [[text]], ["%"])
    assert max(nothing.values()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("language", TEXTS)
def test_half_of_a_text_has_a_part(language: str) -> None:
    text = TEXTS[language]
    found = measure("seq2seq", ("rouge1", "chrf"), [[text]], [text[: len(text) // 2]])
    assert all(20 < value < 90 for value in found.values()), found


def test_scripts() -> None:
    assert [script_of([TEXTS[name]]) for name in ("Chinese", "Japanese", "Hindi", "German")] == [
        "CJK", "HIRAGANA", "DEVANAGARI", "LATIN"
    ]  # fmt: skip
    assert script_of(["1234 !"]) == "LATIN"
    assert script_of(["the movie 卧虎藏龙 was fine"]) == "LATIN"  # a few words of another script do not decide


@pytest.mark.parametrize(
    "text", [TEXTS["German"], TEXTS["Vietnamese"], "the movie 卧虎藏龙 was fine", "β-carotene isn't bad"]
)
def test_latin_texts_score_as_the_libraries_have_it(text: str) -> None:
    written = " ".join(text.split()[1:])
    found = measure("seq2seq", ("rouge1", "bleu"), [[text]], [written])
    scorer = rouge_scorer.RougeScorer(["rouge1"], use_stemmer=True)
    assert found["rouge1"] == pytest.approx(100 * scorer.score(text, written)["rouge1"].fmeasure)
    assert found["bleu"] == pytest.approx(BLEU().corpus_score([written], [[text]]).score)


def test_the_signature_says_how_a_text_was_read() -> None:
    said = signatures(("bleu", "rouge1"), [[TEXTS["Chinese"]]])
    assert "tok:zh" in said[0] and "|characters|" in said[1]
    said = signatures(("bleu", "rouge1"), [[TEXTS["Japanese"]]])
    assert "tok:char" in said[0] and "|characters|" in said[1]
    said = signatures(("bleu", "rouge1"), [[TEXTS["Hindi"]]])
    assert "tok:13a" in said[0] and "|words|" in said[1]
    said = signatures(("bleu", "rouge1"), [[TEXTS["German"]]])
    assert "tok:13a" in said[0] and "stemmer:porter" in said[1]
