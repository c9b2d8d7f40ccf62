"""Every Redis key of gridq: name, type, life, meaning. Times in keys are milliseconds of Redis' own clock.

All names stand behind the broker's `global_keyprefix` (empty by default). The lists that hold waiting messages are
kombu's own: `<queue>` for priority step 0 and `<queue>\\x06\\x16<step>` for the others, LPUSH to add, RPOP to take.

| key                       | type   | life            | meaning                                                       |
|---------------------------|--------|-----------------|---------------------------------------------------------------|
| `gridq:claims:<worker>`   | hash   | while claimed   | claim id → `home\\nsuffix\\nclaimed at\\ntask id\\nmessage`  |
| `gridq:ready:<queue>`     | zset   | 1 h after use   | consumers that looked and found nothing, by rank, lightest 1st|
| `gridq:consumer:<id>`     | hash   | 3 s after a look| slots and bytes free in a ready consumer, its rank and queues |
| `gridq:attached:<worker>` | string | 1 h             | the consumer on its last connection, the only one that claims |
| `gridq:wake:<id>`         | list   | 10 s            | wake tokens of one consumer; losing one costs a second at most|
| `gridq:delayed`           | zset   | while delayed   | delayed id → when due                                         |
| `gridq:delayed:messages`  | hash   | while delayed   | delayed id → `queue\\nsuffix\\nbytes\\ntask id\\nmessage`     |
| `gridq:homes`             | hash   | until claimed   | SHA-1 of a message handed to a worker → the list it was in    |
| `gridq:constrained`       | set    | for ever        | queues that ask for a model, a node or a worker, few          |
| `gridq:task:<id>`         | hash   | `records_ttl`   | the task's record, see store/tasks.py                         |
| `gridq:tasks:<state>`     | zset   | trimmed         | task ids in that state → since when, see scripts/trim.lua     |
| `gridq:counters`          | hash   | for ever        | `kind, labels` → how often or how much, see counters.py       |
| `gridq:counters:tasks`    | set    | for ever        | names of tasks with counters of their own, 200 at most        |
| `gridq:output:<id>`       | stream | as its record   | what a task printed, in parts, see store/output.py            |
| `gridq:outputs`           | zset   | as the output   | task id → when the last part of its output came               |
| `gridq:outputs:sizes`     | hash   | as the output   | task id → bytes kept and bytes cut of its output              |
| `gridq:outputs:sum`       | string | for ever        | bytes kept of all outputs                                     |
| `gridq:workers`           | hash   | while leased    | worker → `lease ends\nwritten at\nheartbeat`, see workers.py  |
| `gridq:leases`            | zset   | while leased    | worker → when its lease ends, see store/leases.py             |
| `gridq:holders`           | hash   | while leased    | worker → `token\nlock` of the incarnation that has the lease  |
| `gridq:nothing`           | –      | never there     | what scripts delete to be let in on a full server             |
| `gridq:reaped`            | string | for ever        | when somebody last looked for ended leases                    |
| `gridq:epoch`             | string | for ever        | set once: another value means that Redis lost its memory      |
| `gridq:cancels:untold`    | set    | until told      | cancelled tasks whose callers may not know yet                |
| `gridq:dead`              | zset   | until dropped   | dead letters: task id → when buried                           |
| `gridq:dead:messages`     | hash   | until dropped   | task id → `queue\nsuffix\nworker\nreason\nmessage`            |
| `gridq:dead:untold`       | set    | until told      | dead letters whose callers have not got TaskLost yet          |
| `gridq:telling:<id>`      | string | 30 s            | somebody tells the caller of a dead letter, or has just failed|
| `gridq:drains`            | hash   | until undrained | worker or node → when what still runs there is ended, 0: never|
| `gridq:samples`           | stream | `samples_ttl`   | one sample of the fleet a minute, see store/samples.py        |
| `gridq:sampled`           | string | 2 min           | the minute whose sample somebody takes or has taken           |
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
DEAD = PREFIX + "dead"
TASK = PREFIX + "task:"
TASKS = PREFIX + "tasks:"
COUNTERS = PREFIX + "counters"
OUTPUT = PREFIX + "output:"
OUTPUT_SIZES = PREFIX + "outputs:sizes"
GPUS = PREFIX + "gpus"
DRAINS = PREFIX + "drains"

#: What kombu puts between a queue's name and its priority step.
PRIORITY_SEPARATOR = "\x06\x16"
