import numpy as np
import pytest

from plmjax.data.tokenizers.vocabulary import make_vocabulary, padded
from plmjax.errors import UserError


def test_padded_size_is_the_next_multiple_of_128():
    assert [padded(size) for size in (1, 128, 129, 30522, 32100)] == [128, 128, 256, 30592, 32128]


def test_rows_beyond_the_size_are_special_and_never_ordinary():
    vocabulary = make_vocabulary(200, {"pad": 0, "mask": 5}, sentinels=(199, 198), others=(7,))
    special = {0, 5, 7, 198, 199, *range(200, 256)}
    assert set(np.flatnonzero(vocabulary.is_special)) == special
    assert vocabulary.non_special.tolist() == sorted(set(range(256)) - special)
    assert vocabulary.non_special.dtype == np.int32
    assert vocabulary.sentinels == (199, 198)


def test_specials_start_no_word():
    vocabulary = make_vocabulary(4, {"pad": 0}, word_start=[True, True, False, True])
    assert np.flatnonzero(vocabulary.word_start).tolist() == [1, 3]
    assert vocabulary.word_start.shape == (128,)


def test_require_names_what_is_missing():
    vocabulary = make_vocabulary(10, {"pad": 0, "mask": 1})
    vocabulary.require("pad", "mask")
    with pytest.raises(UserError, match="no cls and no sentinels"):
        vocabulary.require("pad", "cls", "sentinels")


def test_bos_and_eos_stand_in_for_cls_and_sep():
    roberta = make_vocabulary(10, {"bos": 0, "pad": 1, "eos": 2})
    assert (roberta.cls_or_bos, roberta.sep_or_eos) == (0, 2)
    bert = make_vocabulary(10, {"bos": 0, "eos": 2, "cls": 3, "sep": 4})
    assert (bert.cls_or_bos, bert.sep_or_eos) == (3, 4)
    assert make_vocabulary(10, {"eos": 2}).padding == 0


def test_arrays_are_read_only():
    vocabulary = make_vocabulary(10, {})
    with pytest.raises(ValueError, match="read-only"):
        vocabulary.is_special[3] = True
