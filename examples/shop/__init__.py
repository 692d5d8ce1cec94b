"""A small order service that really runs. A comment `# slow: CODE` marks a line that agentperf-lint has to find.

Every problem stands beside an innocent look-alike, of which nothing may be said.
"""
