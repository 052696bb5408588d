"""What a network knows without being trained for it: likelihoods of texts, choices and answers (GPT-2, GPT-3, BLiMP).

scoring     log-likelihoods of texts, for every kind of network; framing: what each kind reads; asking: how it is asked
perplexity, lambada, blimp, choices, answers    one evaluation each: a dataclass of settings with `check()` and
            `evaluate(scorer)`
report      their results as a table and as files
"""
