"""What is asked of a checkpoint, in a caller's words and else in its generation_config.json's."""

from typing import Any

from plmjax.decode.logits_processors import make_logits_processors
from plmjax.decode.respond import Request
from plmjax.errors import UserError
from plmjax.interop.generation import settings
from plmjax.interop.pretrained import Pretrained
from plmjax.interop.source_templates import delimited_template, source_template


def make_request(
    pretrained: Pretrained, asked: dict[str, Any], source: str | None = None, target: str | None = None, **fields: Any
) -> Request:
    """What is asked for, else the checkpoint's generation_config.json, as a Request of texts.

    Args:
        pretrained: any.
        asked: settings under the names of `transformers`; None for no wish.
        source, target: languages, see `source_template`.
        fields: the other fields of a Request.

    Raises:
        UserError: a number out of its range, or as `source_template`.
    """
    kind, tokenizer = pretrained.module.kind, pretrained.tokenizer
    generation = pretrained.generation
    wishes = {name: value for name, value in asked.items() if value is not None}
    whole = settings(generation, pretrained.special, kind, 0, wishes, usual_new_tokens=Request().max_new_tokens)
    template = source_template(pretrained, source, target) if kind == "encoder_decoder" and tokenizer else None
    if kind == "decoder":
        template = delimited_template(pretrained)
    if kind != "encoder_decoder" and (source or target):
        raise UserError(f"{pretrained.architecture} rewrites no texts: leave out the language.")
    names = (
        "min_new_tokens", "forced_eos_token_id", "eos_token_id", "bad_words_ids", "suppress_tokens",
        "begin_suppress_tokens",
    )  # fmt: skip
    given = {name: whole[name] for name in names if name in whole}
    try:
        rules = make_logits_processors(**given, forced_bos_token_id=template.forced_bos_token_id if template else None)
    except ValueError as error:
        raise UserError(str(error)) from error
    temperature = asked.get("temperature")
    if temperature is None and whole.get("do_sample"):
        temperature = whole.get("temperature", 1.0)
    draws = {"top_k": whole.get("top_k"), "top_p": whole.get("top_p")} if whole.get("do_sample") else {}
    return Request(
        max_new_tokens=whole["max_new_tokens"],
        temperature=temperature,
        top_k=asked.get("top_k") or draws.get("top_k"),
        top_p=asked.get("top_p") or draws.get("top_p"),
        beams=whole.get("num_beams", 1),
        length_penalty=whole.get("length_penalty", 1.0),
        early_stopping=whole.get("early_stopping", False),
        repetition_penalty=whole.get("repetition_penalty", 1.0),
        no_repeat_ngram=whole.get("no_repeat_ngram_size", 0),
        more_rules=rules,
        template=template._replace(forced_bos_token_id=None) if template else None,  # its rule is among those already
        **fields,
    )
