"""What classes, fields and values of configurations were called before, so that what was written then is still read.

A checkpoint's manifest names classes as "module:Class"; see checkpoints/serialize.py. On the command line an old
field is refused in a sentence that gives the new one; see experiments/_main.py.
"""

from collections.abc import Callable
from typing import Any

# Modules that hold classes of configurations, old -> new.
MODULES = {
    "plmjax.data.prepare": "plmjax.data.store.prepare",
    "plmjax.data.sources": "plmjax.data.sources.open",
    "plmjax.data.windows_base": "plmjax.data.windows.base",
    "plmjax.data.windows_chunks": "plmjax.data.windows.chunks",
    "plmjax.data.windows_codes": "plmjax.data.windows.codes",
    "plmjax.data.windows_documents": "plmjax.data.windows.documents",
    "plmjax.data.windows_languages": "plmjax.data.windows.languages",
    "plmjax.data.windows_pairs": "plmjax.data.windows.pairs",
    "plmjax.data.windows_passages": "plmjax.data.windows.passages",
    "plmjax.data.windows_sentence_streams": "plmjax.data.windows.sentence_streams",
    "plmjax.data.windows_sentences": "plmjax.data.windows.sentences",
    "plmjax.data.windows_streams": "plmjax.data.windows.streams",
    "plmjax.data.windows_translations": "plmjax.data.windows.translations",
    "plmjax.finetune.prepared": "plmjax.finetune.setup",
    "plmjax.finetune.updates": "plmjax.finetune.update_strategies",
    "plmjax.finetune.writer": "plmjax.finetune.seq2seq_config",
    "plmjax.modules.pair": "plmjax.modules.generator_discriminator",
    "plmjax.objectives.choices": "plmjax.objectives.masking_strategies",
    "plmjax.tasks.asking": "plmjax.tasks.scoring_format",
    "plmjax.tasks.catalogue": "plmjax.tasks.registry",
    "plmjax.tasks.labelled": "plmjax.tasks.supervised",
    "plmjax.tasks.text_forms": "plmjax.tasks.verbalizers",
    "plmjax.tasks.wordings": "plmjax.tasks.prompts_text_to_text",
    "plmjax.tasks.writing": "plmjax.tasks.seq2seq",
    "plmjax.tasks.writing_catalogue": "plmjax.tasks.seq2seq_registry",
}
# "new module:old class" -> "new module:new class".
CLASSES: dict[str, str] = {
    "plmjax.tasks.scoring_format:Asking": "plmjax.tasks.scoring_format:ScoringFormat",
    "plmjax.tasks.supervised:Labelled": "plmjax.tasks.supervised:SupervisedTask",
    "plmjax.tasks.seq2seq:Writing": "plmjax.tasks.seq2seq:Seq2SeqTask",
    "plmjax.tasks.classification:Classification": "plmjax.tasks.classification:ClassificationTask",
    "plmjax.tasks.classification:Regression": "plmjax.tasks.classification:RegressionTask",
    "plmjax.tasks.tagging:Tagging": "plmjax.tasks.tagging:TokenClassificationTask",
    "plmjax.tasks.spans:Spans": "plmjax.tasks.spans:QuestionAnsweringTask",
    "plmjax.tasks.multiple_choice:MultipleChoice": "plmjax.tasks.multiple_choice:MultipleChoiceTask",
    "plmjax.tasks.pronouns:PronounChoice": "plmjax.tasks.pronouns:PronounChoiceTask",
    "plmjax.tasks.pronouns:Winograd": "plmjax.tasks.pronouns:WinogradTask",
    "plmjax.tasks.mixture:Mixture": "plmjax.tasks.mixture:TaskMixture",
    "plmjax.tasks.choices:Choices": "plmjax.tasks.choices:ChoiceScoring",
    "plmjax.train.config:CheckpointConfig": "plmjax.checkpoints.config:CheckpointConfig",
    "plmjax.data.sources.open:ReadOptions": "plmjax.data.sources.base:ReadOptions",
    "plmjax.data.windows.pairs:SentenceOrder": "plmjax.data.windows.pairs:SentenceOrderPair",
    "plmjax.modules.generator_discriminator:PairConfig": (
        "plmjax.modules.generator_discriminator:GeneratorDiscriminatorConfig"
    ),
    "plmjax.objectives.masking_strategies:AnyTokens": "plmjax.objectives.masking_strategies:AnyTokenMasking",
    "plmjax.objectives.masking_strategies:Choices": "plmjax.objectives.masking_strategies:MaskingStrategies",
    "plmjax.objectives.masking_strategies:NGrams": "plmjax.objectives.masking_strategies:NGramMasking",
    "plmjax.objectives.masking_strategies:Phrases": "plmjax.objectives.masking_strategies:PhraseMasking",
    "plmjax.objectives.masking_strategies:Spans": "plmjax.objectives.masking_strategies:SpanMasking",
    "plmjax.objectives.sentence_pair:NextSentence": "plmjax.objectives.sentence_pair:NextSentencePrediction",
    "plmjax.objectives.sentence_pair:SentenceOrder": "plmjax.objectives.sentence_pair:SentenceOrderPrediction",
    "plmjax.objectives.spanbert:SpanMasking": "plmjax.objectives.spanbert:SpanBertMasking",
    "plmjax.finetune.config:TrainConfig": "plmjax.finetune.config:FineTuneTrainConfig",
    "plmjax.finetune.update_strategies:HeadsAlone": "plmjax.finetune.update_strategies:HeadsOnly",
}
_HEADS = {
    "sentence": "next_sentence",
    "detection": "replaced_token_detection",
    "class": "sequence_classification",
    "tag": "token_classification",
    "answer": "question_answering",
    "chain": "crf",
    "beam_answer": "beam_question_answering",
}
_WITH_HEADS = (
    *("albert:AlbertConfig", "bart:BartConfig", "bart:MBartConfig", "bart:MarianConfig", "bart_lm:BartLMConfig"),
    *("bart_decoder:BartDecoderConfig", "bart_decoder:MBartDecoderConfig", "bart_decoder:MarianDecoderConfig"),
    *("bart_translation:BartTranslationConfig", "bert:BertConfig", "bert_two_stream:BertTwoStreamConfig"),
    *("deberta:DebertaConfig", "distilbert:DistilBertConfig", "electra:ElectraConfig", "elmo_task:ElmoTaskConfig"),
    *("t5:T5Config", "t5_shared:T5SharedConfig", "xlm:XLMConfig", "xlnet:XLNetConfig"),
)
_GPTS = ("gpt:GPTConfig", "gpt3:GPT3Config", "gpt3:GPTNeoConfig", "ctrl:CTRLConfig", "bart_lm:BartLMConfig")
# "new module:new class" -> {old field: new field}.
FIELDS: dict[str, dict[str, str]] = {
    "plmjax.data.store.prepare:PrepareOptions": {"blank_lines": "documents"},
    **{f"plmjax.modules.{name}": {"classes": "num_labels"} for name in _GPTS},
    **{
        f"plmjax.objectives.{name}": {"choice": "strategy", "choices": "strategies"}
        for name in ("masked_lm:Masking", "replaced_tokens:GeneratorMasking", "spanbert:SpanBertMasking")
    },
    "plmjax.finetune.config:FineTune": {
        "updates": "update_strategy",
        "way": "task_model",
        "length": "max_length",
        "cut": "truncation",
        "stride": "doc_stride",
        "most_question": "max_query_length",
        "most_answer": "max_answer_length",
        "writer": "generation",
    },
    "plmjax.finetune.config:FineTuneTrainConfig": {"warmup_share": "warmup_ratio"},
}
# "new module:new class" -> {new field: {old value: new value}}; of a list of values, each.
VALUES: dict[str, dict[str, dict[str, str]]] = {
    "plmjax.data.store.prepare:PrepareOptions": {"documents": {"paragraphs": "files", "documents": "blank_lines"}},
    **{f"plmjax.modules.{name}": {"heads": _HEADS} for name in _WITH_HEADS},
    "plmjax.finetune.config:FineTune": {
        "task_model": {"spans_by_beam": "beam_question_answering", "chained_tags": "crf_token_classification"},
    },
}


def _decoder_heads(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a GPT whose class head was once said by the number of its labels alone, 0 for none."""
    if "heads" in fields:
        return fields
    labels = fields.get("num_labels", 0)
    return fields | {"heads": ["sequence_classification" if labels else "token"], "num_labels": labels or 2}


def _before_released_forms(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a DeBERTa that was written before they said how its decoder runs and what its detection reads."""
    return {"enhanced_mask_decoder_layers": 1, "detection_head": "transform"} | fields


def _generation(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a recipe that held how targets are learned and how they are generated in one WriterConfig."""
    writer = fields.get("generation", {})
    if not writer.get("type", "").endswith(":WriterConfig"):
        return fields
    moved = {MOVED["FineTune"][f"writer.{name}"]: value for name, value in writer.items() if name != "type"}
    parts: dict[str, dict[str, Any]] = {
        "seq2seq": {"type": "plmjax.finetune.seq2seq_config:Seq2SeqConfig"},
        "generation": {"type": "plmjax.decode.config:GenerationConfig"},
    }
    for path, value in moved.items():
        part, _, name = path.partition(".")
        parts[part][name] = value
    generation = parts["generation"]
    generation["max_new_tokens"] = generation.get("max_new_tokens") or None  # 0 was as many as the targets had
    if generation.get("num_beams", 1) == 1:  # where these meant nothing
        generation = {name: value for name, value in generation.items() if name not in _OF_BEAMS}
    return {**fields, "seq2seq": parts["seq2seq"], "generation": generation}


_MOST = "biases_and_norms"


def _optimizer(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of an optimizer that was written before LAMB could leave out its trust ratio or bias correction.

    It gave every tensor the ratio and always corrected; and every schedule was given a step to decay by. The other
    settings that came with these meant what their defaults mean; results are compared with their recipe as JSON, so
    that they are filled in here.
    """
    if "exclude_from_layer_adaptation" in fields:
        return fields
    came = {"warmup_init_lr": 0.0, "exclude_from_weight_decay": _MOST, "exclude_from_layer_adaptation": _MOST}
    fields = came | fields
    if fields.get("schedule") in ("rsqrt", "constant"):
        fields = fields | {"decay_steps": 0}
    if fields.get("name") == "lamb":
        fields = fields | {"bias_correction": True, "exclude_from_layer_adaptation": "nothing"}
    return fields


_OF_BEAMS = ("length_penalty", "early_stopping")
# Class -> {old path of a field: new path}, where a field has moved into another part of the configuration.
MOVED: dict[str, dict[str, str]] = {
    "FineTune": {
        "writer.target_length": "seq2seq.max_target_length",
        "writer.label_smoothing": "seq2seq.label_smoothing",
        "writer.z_loss": "seq2seq.z_loss",
        "writer.source_language": "seq2seq.source_language",
        "writer.target_language": "seq2seq.target_language",
        "writer.source_tokenizer": "seq2seq.source_tokenizer",
        "writer.source_layers": "seq2seq.source_layers",
        "writer.beams": "generation.num_beams",
        "writer.length_penalty": "generation.length_penalty",
        "writer.early_stopping": "generation.early_stopping",
        "writer.max_new_tokens": "generation.max_new_tokens",
        "writer.min_new_tokens": "generation.min_new_tokens",
        "writer.no_repeat_ngram": "generation.no_repeat_ngram_size",
    },
    "Answers": {
        "beams": "generation.num_beams",
        "length_penalty": "generation.length_penalty",
        "max_new_tokens": "generation.max_new_tokens",
    },
}
# Script -> {old flag: new flag}.
FLAGS: dict[str, dict[str, str]] = {
    "benchmark": {"beside_transformers": "vs_transformers"},
    "generate": {"num_samples": "num_return_sequences", "no_repeat_ngram": "no_repeat_ngram_size"},
    "prepare": {"blank_lines": "documents"},
}
# "new module:new class" -> what gives today's fields where a new name alone does not.
REWRITES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    **{f"plmjax.modules.{name}": _decoder_heads for name in _GPTS},
    "plmjax.modules.deberta:DebertaConfig": _before_released_forms,
    "plmjax.finetune.config:FineTune": _generation,
    "plmjax.train.config:OptimizerConfig": _optimizer,
}


def class_named(name: str) -> str:
    """Today's "module:Class" of one that a configuration was written with."""
    module, _, kind = name.partition(":")
    name = f"{MODULES.get(module, module)}:{kind}"
    return CLASSES.get(name, name)


def upgraded(data: Any) -> Any:
    """The JSON of a configuration under today's names of classes, fields and values."""
    if isinstance(data, list):
        return [upgraded(value) for value in data]
    if not isinstance(data, dict):
        return data
    if "type" not in data:
        return {key: upgraded(value) for key, value in data.items()}
    kind = class_named(str(data["type"]))
    fields, values = FIELDS.get(kind, {}), VALUES.get(kind, {})
    renamed = {fields.get(key, key): upgraded(value) for key, value in data.items() if key != "type"}
    for field, table in values.items():
        value = renamed.get(field)
        if isinstance(value, list):
            renamed[field] = [table.get(one, one) for one in value]
        elif isinstance(value, str):
            renamed[field] = table.get(value, value)
    return {"type": kind, **REWRITES.get(kind, lambda fields: fields)(renamed)}


def new_field(class_name: str, field: str) -> str | None:
    """Today's name of a field that a class had, by the bare name of the class; None where it never had it.

    The field may be a path, such as "writer.beams".
    """
    if field in MOVED.get(class_name, {}):
        return MOVED[class_name][field]
    for kind, fields in FIELDS.items():
        if kind.rpartition(":")[2] == class_name and field in fields:
            return fields[field]
    return None


def new_value(class_name: str, field: str, value: str) -> str | None:
    """Today's word for a value that a field had, by the bare name of the class; None where it never had it."""
    for kind, fields in VALUES.items():
        if kind.rpartition(":")[2] == class_name and value in fields.get(field, {}):
            return fields[field][value]
    return None
