"""`gridq top`: the whole fleet, live.

command (what is typed) · picture (what there is to show) · feed (looks once a second) · order (sorting and filtering) ·
columns (what is shown of a row) · plain (without a terminal) · app, grid, dialogs (with one; all that knows textual)
"""
