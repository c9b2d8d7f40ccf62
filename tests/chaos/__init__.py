"""What breaks, and what becomes of the tasks: each scenario sends tasks, breaks something and counts.

ledger      what ran, when and where, written by the tasks themselves to files, never to Redis
tasks       the app that the workers of both sides run
sides       gridq and stock Celery behind one face
processes   workers that die with the harness
servers     a Redis that can be killed, frozen, restarted, and robbed of its last second
sentinels   Redis with TLS, access lists, a replica and three Sentinels
cables      nodes: network namespaces whose cable can be cut
wires       a wire to Redis that breaks between a command and its answer
stage       what a scenario is played on; tally: what is counted; play: what a scenario can do
scenario    the list of scenarios; crashes, outages, partitions, hardware, hours, messages, storage: the scenarios
__main__    `python -m tests.chaos`: all of them, for both sides, with a table
"""
