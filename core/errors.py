"""The one error whose text is meant for the user."""


class LabError(Exception):
    """Something the user can mend. The message is a sentence: what happened, and what to do.

    Pages and the command line show the message alone; every other exception is a fault of the lab and keeps its traceback.
    """


class DivergedError(LabError):
    """The weights ran away: the loss of a training is no number any more."""
