from __future__ import annotations

from agentperf_rules.base import Rule, Shape
from agentperf_rules.model import Suspect


class UnreadableFile(Rule):
    """## What it does
    Names a file that could not be analysed: no valid Python, no readable encoding, no permission, or gone.

    ## Why is this bad?
    What is not read is not checked, and calls through that file are not followed.

    ## Example
    ```python
    def broken(:
        pass
    ```

    ## Use instead
    ```python
    def whole():
        pass
    ```
    """

    code = "APL901"
    name = "unreadable-file"
    kind = "run"
    severity = "medium"

    valid = (
        """\
def whole():
    pass
""",
    )
    invalid = ()

    def describe(self, suspect: Suspect, shape: Shape) -> str:
        return f"this file could not be analysed ({suspect.call})"

    def remedy(self, suspect: Suspect, shape: Shape) -> str:
        return "correct the file or exclude it"
