"""Speed and accuracy on pinned packages, measured beside other linters."""
