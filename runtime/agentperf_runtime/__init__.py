"""What is imported into a running process: the standard library is all that it loads."""
