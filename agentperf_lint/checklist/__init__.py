"""What a run cost and where: traces and findings joined into one list of items, worst measured cost first."""
