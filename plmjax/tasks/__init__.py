"""What a network knows without being trained for it: likelihoods of texts, choices and answers (GPT-2, GPT-3, BLiMP).

scoring     log-likelihoods of texts, for every kind of network
perplexity, lambada, blimp, choices, answers    one evaluation each: a dataclass of settings with `evaluate(scorer)`
report      their results as a table and as files
"""
