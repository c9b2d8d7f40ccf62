"""Every Redis key of gridq: name, type, life, meaning. Times in keys are milliseconds of Redis' own clock.

All names stand behind the broker's `global_keyprefix` (empty by default). The lists that hold waiting messages are
kombu's own: `<queue>` for priority step 0 and `<queue>\\x06\\x16<step>` for the others, LPUSH to add, RPOP to take.

| key                       | type   | life            | meaning                                                       |
|---------------------------|--------|-----------------|---------------------------------------------------------------|
| `gridq:claims:<worker>`   | hash   | while claimed   | claim id → `queue\\nsuffix\\nclaimed at\\ntask id\\nmessage`  |
| `gridq:ready:<queue>`     | zset   | 1 h after use   | consumers that looked and found nothing, by rank, lightest 1st|
| `gridq:consumer:<id>`     | hash   | 3 s after a look| slots and bytes free in a ready consumer, its rank and queues |
| `gridq:wake:<id>`         | list   | 10 s            | wake tokens of one consumer; losing one costs a second at most|
| `gridq:delayed`           | zset   | while delayed   | delayed id → when due                                         |
| `gridq:delayed:messages`  | hash   | while delayed   | delayed id → `queue\\nsuffix\\nbytes\\ntask id\\nmessage`     |
| `gridq:constrained`       | set    | for ever        | queues that ask for a model or a node, few                    |
| `gridq:task:<id>`         | hash   | `records_ttl`   | the task's record, see store/tasks.py                         |
| `gridq:workers`           | hash   | for ever        | worker → its heartbeat, see store/workers.py                  |
| `gridq:gpus`              | hash   | for ever        | node/uuid → what was last known of the GPU, also if it left   |
"""

from __future__ import annotations

PREFIX = "gridq:"

CLAIMS = PREFIX + "claims:"
CONSUMER = PREFIX + "consumer:"
READY = PREFIX + "ready:"
WAKE = PREFIX + "wake:"
DELAYED = PREFIX + "delayed"
CONSTRAINED = PREFIX + "constrained"
TASK = PREFIX + "task:"
GPUS = PREFIX + "gpus"

#: What kombu puts between a queue's name and its priority step.
PRIORITY_SEPARATOR = "\x06\x16"
