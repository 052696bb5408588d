"""What each kind of network reads, and where it predicts what."""

from __future__ import annotations

import numpy as np
import pytest

from plmjax.data.tokenizers.vocabulary import make_vocabulary
from plmjax.errors import UserError
from plmjax.tasks.framing import Instance, ScoringRow, make_frame
from plmjax.tasks.scoring_format import ScoringFormat

BERT = {"pad": 0, "cls": 1, "sep": 2, "mask": 3}
OWN = {"pad": 0, "eos": 1, "unk": 2, "bos": 3}
LENGTH = 8


def read(kind, specials, request, *, scoring_format=ScoringFormat(), sentinels=(), word_l2r=False, word_start=None):  # noqa: B008
    vocabulary = make_vocabulary(50, specials, sentinels, word_start=word_start)
    frame = make_frame(kind, vocabulary, LENGTH, scoring_format, word_l2r=word_l2r)
    assert len(request.text) <= frame.room
    readings = list(frame.read(request))
    for reading in readings:
        assert max(len(reading.tokens), len(reading.decoder_tokens)) <= LENGTH
        assert len(reading.positions) == len(reading.targets) and min(reading.positions) >= 0
        assert max(reading.positions) < len(reading.decoder_tokens or reading.tokens)
    return readings


def test_a_decoder_begins_from_the_token_between_documents():
    """Training puts EOS after each document; a BOS of the same tokenizer has never been read."""
    assert read("decoder", OWN, Instance([], [7, 8])) == [ScoringRow([1, 7], [], [0, 1], [7, 8])]
    only_bos = {"bos": 3}
    assert read("decoder", only_bos, Instance([], [7, 8])) == [ScoringRow([3, 7], [], [0, 1], [7, 8])]
    assert read("decoder", {}, Instance([], [7, 8])) == [ScoringRow([7], [], [0], [8])]
    assert list(make_frame("decoder", make_vocabulary(50, {}), LENGTH, ScoringFormat()).read(Instance([], [7]))) == []


def test_a_decoder_reads_the_context_as_it_is_and_its_end_where_it_is_too_long():
    assert read("decoder", OWN, Instance([5, 6], [7, 8])) == [ScoringRow([5, 6, 7], [], [1, 2], [7, 8])]
    [reading] = read("decoder", OWN, Instance(range(10, 30), [7, 8]))
    assert reading == ScoringRow([*range(23, 30), 7], [], [6, 7], [7, 8])
    [longest] = read("decoder", OWN, Instance([5, 6], range(10, 18)))
    assert longest == ScoringRow([6, *range(10, 17)], [], list(range(8)), list(range(10, 18)))
    [alone] = read("decoder", OWN, Instance([], range(10, 18)))
    assert alone.tokens == [1, *range(10, 17)]


def test_a_control_code_stands_before_all():
    scoring_format = ScoringFormat(prefix=(40, 41))
    assert read("decoder", OWN, Instance([], [7, 8]), scoring_format=scoring_format) == [
        ScoringRow([40, 41, 7], [], [1, 2], [7, 8])
    ]
    [reading] = read("decoder", OWN, Instance(range(10, 30), [7]), scoring_format=scoring_format)
    assert reading == ScoringRow([40, 41, *range(24, 30)], [], [7], [7])


def test_an_encoder_masks_each_token_in_turn_within_its_specials():
    assert read("encoder", BERT, Instance([5], [7, 8])) == [
        ScoringRow([1, 5, 3, 8, 2], [], [2], [7]),
        ScoringRow([1, 5, 7, 3, 2], [], [3], [8]),
    ]
    [first, *_] = read("encoder", BERT, Instance(range(10, 30), [7, 8]))
    assert first.tokens == [1, 26, 27, 28, 29, 3, 8, 2]


def test_an_encoder_may_hide_the_rest_of_a_word():
    """7 8 9 are a word, 10 is another."""
    starts = np.ones(50, bool)
    starts[[8, 9]] = False
    readings = read("encoder", BERT, Instance([], [7, 8, 9, 10]), word_l2r=True, word_start=starts)
    assert [reading.tokens[1:-1] for reading in readings] == [
        [3, 3, 3, 10],
        [7, 3, 3, 10],
        [7, 8, 3, 10],
        [7, 8, 9, 3],
    ]
    assert [reading.targets for reading in readings] == [[7], [8], [9], [10]]
    with pytest.raises(UserError, match="can't tell where words start"):
        read("encoder", BERT, Instance([], [7]), word_l2r=True)


def test_xlnet_predicts_the_text_where_it_stands():
    assert read("two_stream", {}, Instance([5, 6], [7, 8])) == [ScoringRow([5, 6, 7, 8], [], [2, 3], [7, 8])]
    [reading] = read("two_stream", {}, Instance(range(10, 30), [7]))
    assert reading.tokens == [*range(23, 30), 7]


T5 = {"pad": 0, "eos": 1, "unk": 2}


def test_t5_writes_after_its_first_sentinel():
    scoring_format = ScoringFormat(start=0, shown="sentinel")
    settings = {"scoring_format": scoring_format, "sentinels": (49, 48)}
    assert read("encoder_decoder", T5, Instance([5, 6], [7, 8]), **settings) == [
        ScoringRow([5, 6, 49, 1], [0, 49, 7], [1, 2], [7, 8])
    ]
    assert read("encoder_decoder", T5, Instance([], [7]), **settings) == [ScoringRow([49, 1], [0, 49], [1], [7])]
    [longest] = read("encoder_decoder", T5, Instance(range(10, 30), range(30, 37)), **settings)
    assert longest.tokens == [*range(24, 30), 49, 1]
    assert longest.decoder_tokens == [0, 49, *range(30, 36)]
    assert make_frame("encoder_decoder", make_vocabulary(50, T5, (49, 48)), LENGTH, scoring_format).room == 7
    with pytest.raises(UserError, match="no sentinels"):
        read("encoder_decoder", T5, Instance([], [7]), scoring_format=scoring_format)


def test_bart_writes_the_context_too():
    bart = {"bos": 4, "pad": 0, "eos": 1, "mask": 3}
    scoring_format = ScoringFormat(start=1, shown="mask")
    assert read("encoder_decoder", bart, Instance([5, 6], [7, 8]), scoring_format=scoring_format) == [
        ScoringRow([4, 5, 6, 3, 1], [1, 4, 5, 6, 7], [3, 4], [7, 8])
    ]
    [longest] = read("encoder_decoder", bart, Instance([9, 5], [10, 11, 12, 13]), scoring_format=scoring_format)
    assert longest.tokens == [4, 5, 3, 1] and longest.decoder_tokens == [1, 4, 5, 10, 11, 12]
    [alone] = read("encoder_decoder", bart, Instance([], [7]), scoring_format=scoring_format)
    assert alone == ScoringRow([4, 3, 1], [1, 4], [1], [7])


def test_another_encoder_decoder_writes_the_text_for_the_context():
    scoring_format = ScoringFormat(start=0)
    assert read("encoder_decoder", T5, Instance([5, 6], [7, 8]), scoring_format=scoring_format) == [
        ScoringRow([5, 6, 1], [0, 7], [0, 1], [7, 8])
    ]


def test_what_cannot_score_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="kind 'bidirectional' does not score texts"):
        read("bidirectional", {}, Instance([], [7]))
    with pytest.raises(UserError, match="word_l2r is for encoders"):
        read("decoder", OWN, Instance([], [7]), word_l2r=True)
    with pytest.raises(UserError, match="no mask token"):
        read("encoder", {"cls": 1, "sep": 2}, Instance([], [7]))
