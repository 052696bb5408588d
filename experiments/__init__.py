"""Scripts that a user launches, their configs and the papers' ablations."""

import sys

from experiments._early import refuse_unknown_flags

refuse_unknown_flags(sys.orig_argv)
