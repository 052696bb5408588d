"""generation_config.json: what a checkpoint says about how it generates, as the defaults of `Pretrained.generate`.

Older directories have the same settings in config.json.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plmjax.decode.config import DEFAULT_NEW_TOKENS
from plmjax.errors import UserError
from plmjax.interop.family import JSON, Family
from plmjax.json_files import read_object

log = logging.getLogger(__name__)

FILE = "generation_config.json"
IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
LENGTHS = ("max_length", "max_new_tokens", "min_length", "min_new_tokens")
ONE_TOKEN = ("eos_token_id", "forced_bos_token_id", "forced_eos_token_id")
OPTIONS = (
    "do_sample", "temperature", "top_k", "top_p", "num_beams", "length_penalty", "early_stopping",
    "num_return_sequences", "repetition_penalty", "no_repeat_ngram_size", "forced_bos_token_id", "forced_eos_token_id",
    "bad_words_ids", "suppress_tokens", "begin_suppress_tokens",
)  # fmt: skip
# What says how to compute or what to report, not what to write.
WITHOUT_EFFECT = {
    "transformers_version", "use_cache", "cache_implementation", "cache_config", "return_legacy_cache",
    "prefill_chunk_size", "remove_invalid_values", "output_attentions", "output_hidden_states", "output_scores",
    "output_logits", "return_dict_in_generate", "compile_config", "disable_compile", "low_memory", "is_assistant",
    "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_early_exit",
    "assistant_lookbehind", "target_lookbehind", "prompt_lookup_num_tokens", "max_matching_ngram_size",
}  # fmt: skip
# Of the other settings, the values at which they change nothing.
NEUTRAL: JSON = {
    "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "encoder_repetition_penalty": 1.0,
    "diversity_penalty": 0.0, "num_beam_groups": 1, "encoder_no_repeat_ngram_size": 0, "guidance_scale": 1.0,
}  # fmt: skip
USUAL_TOP_K = 50  # of transformers, where it samples


def read(directory: Path, given: JSON, family: Family) -> JSON:
    """The settings of a directory: generation_config.json's, or what config.json and its class have of them.

    A setting that would change what is written and that plmjax does not do stays in the result, to be written back, and
    a warning names it.

    Raises:
        UserError: the file is no JSON object.
    """
    file = directory / FILE
    if file.is_file():
        found = read_object(file)
    else:
        known = (*OPTIONS, *LENGTHS, *NEUTRAL)
        found = {name: given[name] for name in known if given.get(name) is not None}
        found = {name: value for name, value in family.generation.items() if name not in given} | found
    found = {name: value for name, value in found.items() if not name.startswith("_") and value is not None}
    for name, value in found.items():
        if name not in WITHOUT_EFFECT and not _is_done(name, value):
            log.warning("%s asks for %s = %r, which plmjax does not do: it may write other texts.", file, name, value)
    return found


def _is_done(name: str, value: Any) -> bool:
    if name in ONE_TOKEN and isinstance(value, list):
        return len(value) == 1
    return name in (*OPTIONS, *LENGTHS, *IDS) or value in (NEUTRAL.get(name), False, [], {})


def merged(
    generation: Mapping[str, Any],
    special: Mapping[str, int],
    kind: str,
    prompt: int,
    asked: JSON,
) -> JSON:
    """The fields of a GenerationConfig: what is asked for, else the checkpoint's settings and special ids.

    Args:
        generation: what `read` gave.
        special: under Hugging Face's names.
        kind: of the network; a decoder's lengths count the prompt, an encoder-decoder's its start token.
        prompt: columns of `input_ids`.
        asked: keywords of the caller; None among them leaves the checkpoint's out.
    """
    found = {name: _one(name, value) for name, value in generation.items()}
    usual = {name: token for name, token in special.items() if name in IDS}
    usual |= {name: found[name] for name in (*IDS, *OPTIONS) if name in found}
    usual.pop("bos_token_id", None)
    if kind == "encoder_decoder" and "bos_token_id" in special:
        usual.setdefault("decoder_start_token_id", special["bos_token_id"])
    if kind != "encoder_decoder":
        usual.pop("decoder_start_token_id", None)
        usual.pop("forced_bos_token_id", None)
    read_before = 1 if kind == "encoder_decoder" else prompt
    if "max_new_tokens" not in asked:
        usual["max_new_tokens"] = _most(found, read_before)
    usual["min_new_tokens"] = max(found.get("min_new_tokens", 0), found.get("min_length", 0) - read_before)
    if usual.get("do_sample"):
        usual.setdefault("top_k", USUAL_TOP_K)
    usual["top_k"] = usual.get("top_k") or None  # 0 there keeps every token
    whole = {name: value for name, value in (usual | asked).items() if value is not None}
    if whole.get("num_beams", 1) == 1:  # as in transformers, what belongs to a search waits for one
        whole = {key: x for key, x in whole.items() if key in asked or key not in ("length_penalty", "early_stopping")}
    whole["min_new_tokens"] = min(whole.get("min_new_tokens", 0), whole["max_new_tokens"])
    return whole


def _most(found: JSON, read_before: int) -> int:
    if "max_new_tokens" in found:
        return found["max_new_tokens"]
    if "max_length" not in found:
        return DEFAULT_NEW_TOKENS
    most = found["max_length"] - read_before
    if most < 1:
        raise UserError(
            f"The checkpoint's max_length {found['max_length']} leaves no room after {read_before} tokens: give "
            "max_new_tokens."
        )
    return most


def _one(name: str, value: Any) -> Any:
    return value[0] if name in ONE_TOKEN and isinstance(value, list) else value
