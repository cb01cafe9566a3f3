"""Ask a yard from a plain program: `python script.py "Tell me of the sea."`.

The address comes from `LORAYARD_URL`, else it is the one of `lorayard up` on this machine.
"""

from __future__ import annotations

import sys

from lorayard import JobError, LorayardError, SyncClient


def main(prompt: str) -> int:
    """Ask once and wait, then once more and read along."""
    with SyncClient() as yard:
        result = yard.generate(prompt, max_new_tokens=64, timeout_seconds=60)
        print(result.text)
        print(f"{result.usage.completion_tokens} tokens by {result.worker}", file=sys.stderr)
        for piece in yard.stream(prompt, max_new_tokens=64, timeout_seconds=60):
            print(piece, end="", flush=True)
        print()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(" ".join(sys.argv[1:]) or "Tell me of the sea."))
    except JobError as error:  # the yard has answered: it failed, was cancelled, or came too late
        sys.exit(f"no answer: {error}")
    except LorayardError as error:  # everything else says who must act
        sys.exit(str(error))
