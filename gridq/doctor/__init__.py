"""What `gridq doctor` looks for, told as findings: evidence, what was expected, and the remedy.

finding (one line of the report) · broker, fleet, app, machine (the checks, pure functions of facts) · facts (gathers
what they look at, once) · report (all findings by topic)
"""
