"""The command line: which commands there are, and what surrounds every one of them.

Commands are named by import path, so that `lorayard adapters ls` never loads what `worker` needs.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from lorayard_cli import installed_version
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import Failure, explain
from lorayard_cli.output import print_text, ready_streams, report

_COMMANDS = "lorayard_cli.commands"


# Help stands here too, because a command that is not loaded cannot be asked for its own.
_VERBS = {
    "up": "Run a yard on this machine: bus, dispatcher and workers.",
    "demo": "Show a yard at work on a real model with three adapters.",
    "submit": "Submit one prompt; with --wait or --stream, print its answer.",
    "result": "Print a job's result.",
    "events": "Follow a job while it runs.",
    "explain": "Say why a job waits, or why it went where it went.",
    "cancel": "Cancel jobs, by id or by what they have in common.",
    "summarize": "Summarize documents of any length: files, folders, patterns.",
    "status": "Show the queue, the dispatcher and the workers.",
    "top": "Show the yard live in a terminal, and let it be changed.",
    "sim": "What recorded traffic would do to a yard, under several routers.",
    "doctor": "Find out what is wrong, and what mends it.",
    "dispatcher": "Run a dispatcher in the foreground.",
    "worker": "Run a worker in the foreground.",
    "gateway": "Run a gateway in the foreground: OpenAI's API before the yard.",
    "exporter": "Show metrics of the queues, whichever process of the yard lives.",
}
_NOUNS = {
    "adapters": (
        "Adapters the yard serves.",
        {
            "ls": ("ls", "List the adapters the yard serves."),
            "show": ("show", "Show what is known of a version, and where it is."),
            "place": ("place", "Declare where an adapter shall be."),
            "pin": ("adapter_pins:pin", "Have an adapter stay in a slot."),
            "unpin": ("adapter_pins:unpin", "Let it make way for others again."),
            "push": ("adapter_files:push", "Put an adapter's folder into the yard's store."),
            "pull": ("adapter_files:pull", "Write a version's files to a new folder."),
            "merge": ("adapter_merge:merge", "Make one new version of several."),
            "diff": ("adapter_diff:diff", "Say what changed between two versions, module by module."),
            "verify": ("adapter_checks:verify", "Compare what the store has with the records."),
            "sweep": ("adapter_sweep:sweep", "Take out of the store what nothing needs."),
            "validate": ("adapter_states:validate", "Have a worker try a version that was pushed."),
            "activate": ("adapter_states:activate", "Let a version serve."),
            "archive": ("adapter_states:archive", "Let a version serve no more, and keep it."),
            "amend": ("adapter_amend:amend", "Change its labels, and who may use it."),
            "rm": ("adapter_states:rm", "Take a version out of the registry and the store, for good."),
            "aliases": ("rollout:aliases", "List the aliases and what they lead to."),
            "history": ("rollout:history", "Show what an alias was, who changed it, and why."),
            "split": ("rollout:split", "Give versions their shares of an alias's requests."),
            "promote": ("rollout:promote", "Give one version of an alias all of its requests."),
            "rollback": ("rollout:rollback", "Return an alias to an earlier revision."),
            "unalias": ("rollout:unalias", "Take an alias away."),
            "pause": ("control:pause_adapter", "Start none of its jobs for a while."),
            "resume": ("control:resume_adapter", "Let them start again."),
            "drain": ("control:drain_adapter", "Empty it before maintenance."),
            "cap": ("control:cap_adapter", "Have at most so many of its jobs at workers at once."),
            "uncap": ("control:uncap_adapter", "Take its cap away."),
        },
    ),
    "routes": (
        "Rules that choose adapters for jobs that name none.",
        {
            "set": ("set_", "Put the rules of a file into force."),
            "ls": ("ls", "List the rules."),
            "test": ("which", "Say which rule decides on a request, and why the others do not."),
            "history": ("history", "Show what the rules were, who changed them, and why."),
            "rollback": ("rollback", "Return to an earlier revision of the rules."),
            "train": ("semantic:train", "Make a classifier from example prompts, and put it into force."),
            "eval": ("semantic:eval_", "Judge prompts that it was not made from, and show its errors."),
        },
    ),
    "routes classifier": (
        "Which classifier chooses adapters by what prompts mean.",
        {
            "ls": ("semantic:ls", "Show which were in force, who changed that, and why."),
            "rollback": ("semantic:rollback", "Return to an earlier one."),
            "off": ("semantic:off", "Choose nothing by meaning any more."),
        },
    ),
    "jobs": (
        "Jobs that the yard has.",
        {"scheduled": ("scheduled", "List the jobs that wait for their time.")},
    ),
    "batch": (
        "Files of requests in OpenAI's batch format.",
        {
            "run": ("run", "Answer every line of a file, each once."),
            "resume": ("resume", "Go on with one that was stopped."),
            "status": ("status", "Say how far one is."),
            "cancel": ("cancel", "End one, also from another shell."),
            "ls": ("ls", "List those in a folder."),
        },
    ),
    "limits": (
        "How much tenants and adapters may be asked for.",
        {
            "set": ("set_", "Set limits of a tenant, an adapter or a pair."),
            "ls": ("ls", "List the limits."),
            "show": ("show", "Show limits, and what is used of them now."),
            "rm": ("rm", "Take limits away."),
        },
    ),
    "dead": (
        "Jobs that the yard gave up.",
        {
            "ls": ("ls", "List dead letters."),
            "show": ("show", "Show why a job was given up, what was tried, and the job."),
            "redrive": ("redrive", "Try jobs again, each once and under a new id."),
            "purge": ("purge", "Throw dead letters away."),
        },
    ),
    "schedules": (
        "Jobs that come again and again.",
        {
            "add": ("add", "Have a job come whenever a cron expression is due."),
            "ls": ("ls", "List the schedules, and when each is due next."),
            "show": ("show", "Show one of them."),
            "rm": ("rm", "Take one away."),
            "pause": ("pause", "Have nothing of it come due."),
            "resume": ("resume", "Let it go on."),
            "run-now": ("run_now", "Submit its job once more, now."),
            "history": ("history", "Show its last occurrences, and what became of them."),
        },
    ),
    "security": (
        "Who may connect to the bus: accounts, roles, credentials and TLS.",
        {
            "init": ("init", "Make keys for a new yard."),
            "show": ("show", "List who may connect, and until when."),
            "rotate": ("rotate", "Give a user other credentials."),
            "revoke": ("revoke", "Let a user in no more."),
            "renew-server": ("renew_server", "Make another certificate for the servers."),
        },
    ),
    "security tenant": (
        "Accounts of tenants.",
        {
            "add": ("security:tenant_add", "Make an account for a tenant."),
            "remove": ("security:tenant_remove", "Take a tenant's account away."),
        },
    ),
    "keys": (
        "Keys that HTTP clients show at a gateway.",
        {
            "add": ("add", "Make a key whose jobs are a tenant's, and show it this once."),
            "ls": ("ls", "List the keys, by id."),
            "revoke": ("revoke", "Let a key in no more."),
        },
    ),
    "strikes": (
        "Adapters, versions and tenants whose jobs wait.",
        {
            "add": ("add", "Have jobs of an adapter, a version, a tenant or a pair wait."),
            "ls": ("ls", "List what is struck, and why."),
            "lift": ("lift", "Let them run again."),
        },
    ),
    "workers": (
        "Workers of the yard.",
        {
            "ls": ("ls", "List the workers and what they hold."),
            "add": ("crew:add", "Start more workers in the yard of `lorayard up`."),
            "remove": ("crew:remove", "Drain workers of the yard of `lorayard up`, and stop them for good."),
            "show": ("show", "Show one, and the last words of its earlier lives."),
            "pause": ("control:pause_worker", "Start none of its jobs for a while."),
            "resume": ("control:resume_worker", "Let it take jobs again."),
            "drain": ("control:drain_worker", "Empty it before maintenance."),
            "undrain": ("control:resume_worker", "Let it take jobs again."),
            "scale": ("control:scale_worker", "Have it run at most so many jobs at once."),
        },
    ),
    "lanes": (
        "The four lanes of jobs.",
        {
            "pause": ("control:pause_lane", "Start none of its jobs for a while."),
            "resume": ("control:resume_lane", "Let them start again."),
            "drain": ("control:drain_lane", "Empty it before maintenance."),
            "cap": ("control:cap_lane", "Have at most so many of its jobs at workers at once."),
            "uncap": ("control:uncap_lane", "Take its cap away."),
        },
    ),
    "tenants": (
        "Whose jobs there are.",
        {
            "retry": ("tenants:retry", "Say how often and how soon a tenant's jobs are tried again."),
            "show": ("tenants:show", "Show that."),
            "pause": ("control:pause_tenant", "Start none of its jobs for a while."),
            "resume": ("control:resume_tenant", "Let them start again."),
            "drain": ("control:drain_tenant", "Empty it before maintenance."),
            "cap": ("control:cap_tenant", "Have at most so many of its jobs at workers at once."),
            "uncap": ("control:uncap_tenant", "Take its cap away."),
        },
    ),
    "control": (
        "What somebody has paused and capped.",
        {"ls": ("ls", "List what is paused, drained and capped, by whom, and why.")},
    ),
    "audit": (
        "Who decided and did what, as far back as it is kept.",
        {
            "ls": ("ls", "List records about a job, an adapter, a tenant, a worker; also without `ls`."),
            "export": ("export", "Write all records to a file, byte for byte."),
            "verify": ("verify", "Say whether all are there and unchanged: of the stream, or of an export."),
        },
    ),
    "check": (
        "One line and an exit code for monitoring: 0 well, 1 warning, 2 critical, 3 unknown.",
        {
            "all": ("all_", "All of these, and what the yard itself calls wrong."),
            "bus": ("bus", "Is the bus there, right, and quick."),
            "queue": ("queue", "Do jobs wait too long, or too many."),
            "workers": ("workers", "Are there enough workers."),
            "adapters": ("adapters", "Do adapters serve."),
            "dead": ("dead", "Are there dead letters."),
            "disk": ("disk", "How full are streams, and the disk of an embedded bus."),
        },
    ),
    "models": ("Base models on this machine.", {"prepare": ("prepare", "Make a base model ready to load.")}),
    "bench": (
        "Measure the yard.",
        {
            "bus": ("bus", "No-op jobs per second, beside raw publishing."),
            "engine": ("engine", "Many adapters at once, beside stock transformers, PEFT and vLLM."),
            "calibration": ("calibration", "The modelled yard beside a live one, on the same traces."),
            "adapters": ("adapters", "Pushes, pulls, first answers, rollbacks and the guard."),
            "gateway": ("gateway", "The gateway beside the Python client and a bare HTTP application."),
            "batch": ("batch", "A batch's memory, swaps, kills and tokens per second."),
            "metrics": ("metrics", "What metrics cost: scrapes, and jobs per second with them."),
            "top": ("top", "Processor time of a refresh of `top`, with 10,000 waiting jobs."),
            "view": ("view", "What a look at a large yard costs, and how true and soon it is."),
            "routing": ("routing", "The planner beside other systems' rules, in a modelled yard."),
        },
    ),
}


def make_app() -> App:
    """The whole command tree."""
    app = App(
        name="lorayard",
        help="Many LoRA adapters over one base model, on a local NATS bus.",
        version=installed_version,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name, help_text in _VERBS.items():
        app.command(f"{_COMMANDS}.{name}:{name}", name=name, help=help_text)
    for noun, (help_text, verbs) in _NOUNS.items():
        parent, _, name = noun.rpartition(" ")
        group = App(name=name, help=help_text)
        for verb, (function, verb_help) in verbs.items():
            path = function if ":" in function else f"{noun}:{function}"
            group.command(f"{_COMMANDS}.{path}", name=verb, help=verb_help)
        (app[parent] if parent else app).command(group)
    return app


def run_command(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code."""
    ready_streams()
    try:
        outcome = make_app()(with_verb(arguments), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        return _tell(_usage(error), arguments)
    except BrokenPipeError:
        return _reader_left()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else ExitCode.OK
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the top: everything becomes one line
        if "--debug" in arguments:
            traceback.print_exception(error)
        return _tell(explain(error), arguments)
    return outcome if isinstance(outcome, int) else ExitCode.OK


def with_verb(arguments: Sequence[str]) -> list[str]:
    """`lorayard audit --job ID` is `lorayard audit ls --job ID`, and `--verify` is `verify`."""
    first, *rest = [*arguments, "", ""]
    asks_help = any(word in ("--help", "-h", "--version") for word in arguments)
    if first == "audit" and rest[0].startswith("-") and not asks_help:
        verb = "verify" if "--verify" in arguments else "ls"
        return ["audit", verb, *(word for word in arguments[1:] if word != "--verify")]
    return list(arguments)


def _tell(failure: Failure, arguments: Sequence[str]) -> int:
    """Say why a command failed; what watches a yard reads 2 as critical, and 3 as not known."""
    if list(arguments[:1]) == ["check"]:
        print_text(f"LORAYARD UNKNOWN - {failure.message}")
        return 3
    report(failure, as_json="--json" in arguments)
    return failure.exit_code


def _usage(error: CycloptsError) -> Failure:
    text = " ".join(str(error).split()).rstrip(".")
    return Failure(
        exit_code=ExitCode.USAGE, code="usage", message=f"{text} (`lorayard --help` shows what there is)"
    )


def _reader_left() -> int:
    # `lorayard ... | head`: nobody reads on. Python would complain again when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.OK
