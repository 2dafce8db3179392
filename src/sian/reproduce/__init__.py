"""The paper's tables and figures as commands: rows of recipes, scales, and what is written of them.

`rows` says what a row is, `scales` how much is spent on it, `running` trains and measures what is missing, `tables`
says which numbers stand where in the paper, `sheet_writing` puts ours beside them. A table of another kind is a file of
its own that makes a `Sheet`.
"""
