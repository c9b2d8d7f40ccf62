"""What gridq's programs say, in one form: for people, or one JSON object a line.

mask (no secret in what is said) · facts (who says it: worker, node, GPU, task) · line (how it is written) · hooks (how
a worker's records come to be written so) · complaint (why a worker does not start) · stderr (what commands say)

A producer pays for none of it: structlog is imported only where something is written.
"""
