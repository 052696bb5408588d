"""The one exception that a user's mistake raises."""


class UserError(ValueError):
    """A mistake that the user can correct.

    Its message is one sentence that names the value, the place and the remedy. Scripts print it alone, without a
    traceback, and end with exit status 2.
    """
