"""Which GPU. Pure functions of a snapshot of the fleet.

load (how heavy a worker is) · fit (may it run there at all) · strategies (in which order) · decision (the answer)
"""
