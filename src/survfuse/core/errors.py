"""The few ways a stage can fail, each with the exit code the command line reports.

Raise one of these with a sentence that names the file, the row and the remedy. The command line
prints that sentence and nothing else; any other exception is a defect and keeps its traceback.
"""


class SurvfuseError(Exception):
    """Base of all errors whose message is written for the person who ran the command."""

    exit_code = 1


class UserInputError(SurvfuseError):
    """A sheet, configuration or argument is wrong. Exit code 2: fix the input and run again."""

    exit_code = 2


class MissingResourceError(SurvfuseError):
    """A device or weight file that was asked for is not there. Exit code 3."""

    exit_code = 3


class TooManyFailuresError(SurvfuseError):
    """More items were quarantined than the configuration tolerates. Exit code 4."""

    exit_code = 4


class RetryableError(SurvfuseError):
    """Memory, time or the disk ran out; the same command may succeed with more. Exit code 75."""

    exit_code = 75
