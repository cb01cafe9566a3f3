"""Taskiq on a Redis stream: one worker process, 100 jobs at once as by default, on uvloop.

Acks when the result is saved; what a dead worker held is reclaimed when idle.
"""

from __future__ import annotations

from taskiq_noop import keep_results, make_noop, run
from taskiq_redis import RedisStreamBroker
from ticks import URL

broker = keep_results(RedisStreamBroker(url=URL))
noop = make_noop(broker)


if __name__ == "__main__":
    run("taskiq_redis_side", broker, noop, ("taskiq", "taskiq-redis", "redis", "hiredis"))
