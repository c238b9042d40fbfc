"""The one kind of error a user may see: a line that says what, where and what to do."""


class UserError(Exception):
    """A mistake that the user can mend.

    The command line prints each line of ``problems`` as it is, without a traceback,
    and exits with status 2. A line says what is wrong, where, and what to do.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
