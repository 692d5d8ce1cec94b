"""Finds what makes async Python slow: blocking calls reached from async functions, and queries bound to loops."""

__version__ = "0.1.0"
