"""A small order service. Comments `# slow: CODE` mark the lines that agentperf-lint is expected to report."""
