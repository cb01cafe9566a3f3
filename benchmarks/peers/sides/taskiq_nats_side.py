"""Taskiq on a JetStream work queue by pulls, on file: one worker process, 100 jobs at once as by default."""

from __future__ import annotations

from nats.js.api import ConsumerConfig, StreamConfig
from taskiq_nats import PullBasedJetStreamBroker
from taskiq_noop import keep_results, make_noop, run
from ticks import URL

# Its own store of results, an object store, was a third as fast.
broker = keep_results(
    PullBasedJetStreamBroker(
        servers=[URL],
        subject="noop",
        queue="noop",
        stream_config=StreamConfig(name="noop", subjects=["noop"]),
        pull_consume_batch=100,
        consumer_config=ConsumerConfig(durable_name="noop", max_ack_pending=1000),
    )
)
noop = make_noop(broker)


if __name__ == "__main__":
    run("taskiq_nats_side", broker, noop, ("taskiq", "taskiq-nats", "nats-py"))
