"""`python -m agentperf_lint` is the command `agentperf-lint`."""

from __future__ import annotations

from agentperf_lint.cli import main

if __name__ == "__main__":
    main()
