"""Actors that work through a queue, and what becomes of a task whose actor dies."""

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayError

from pipelines import runtime
from wg2.errors import WorkerError

Task = TypeVar("Task")

_TRIES = 2
"""How often a task is tried again whose worker failed, before it is given up."""
_HOPELESS = 8
"""Failures before anything is done, after which the job gives up."""


def work_through(queue: deque[Task], start: Callable[[], Any], size: int) -> Iterator[tuple[Task, Any]]:
    """Each task with its result, as they finish; with the error (`RayError`), where its actor died or its call failed.

    Ray Data's own pool ends as a whole when an actor dies, and does not say which task that was; here the actor is
    replaced, the others go on, and the caller decides: it may put work back into the queue while this runs.

    Args:
        queue: tasks; taken from the left.
        start: makes an actor with a method `work`, of one task.
        size: actors.
    Raises:
        Wg2Error: what a task raised that a user can mend.
    """
    idle = [start() for _ in range(min(size, len(queue)))]
    busy: dict[Any, tuple[Any, Task]] = {}
    while queue or busy:
        while queue and idle:
            actor, task = idle.pop(), queue.popleft()
            busy[actor.work.remote(task)] = (actor, task)
        done = ray.wait(list(busy), num_returns=1)[0][0]
        actor, task = busy.pop(done)
        result = _outcome(done)
        idle.append(start() if isinstance(result, RayActorError) else actor)
        yield task, result


def finish_blocks(
    blocks: Iterable[tuple[Task, ...]], start: Callable[[], Any], size: int, job: str
) -> Iterator[tuple[tuple[Task, ...], Any]]:
    """Each block with its result; a block whose worker failed goes again task by task.

    Args:
        blocks: of hashable tasks.
        start: makes an actor with a method `work`, of one block.
        size: actors.
        job: who says so when a worker failed.
    Yields:
        A block of one task with the last error (`RayError`), where its worker failed `_TRIES` times more.
    Raises:
        WorkerError: workers failed `_HOPELESS` times before anything was done.
        Wg2Error: what a task raised that a user can mend.
    """
    queue, failures, hopeful = deque(blocks), Counter[Task](), False
    for block, result in work_through(queue, start, size):
        if not isinstance(result, RayError):
            hopeful = True
            yield block, result
            continue
        failures[block[0]] += 1
        print(f"{job}: a worker failed at {block[0]} or after it: {reason(result)}", file=sys.stderr, flush=True)
        if failures.total() >= _HOPELESS and not hopeful:
            raise WorkerError(f"workers failed {_HOPELESS} times and did nothing: {reason(result)}; look for "
                              "OOMKilled, give them more memory, start again") from result  # fmt: skip
        if len(block) == 1 and failures[block[0]] > _TRIES:
            yield block, result
        else:
            queue.extend((task,) for task in block)


def reason(error: RayError) -> str:
    """Its cause, where a call failed; what Ray says first, where the actor died."""
    return str(getattr(error, "cause", None) or error).strip().partition("\n")[0]


def _outcome(call: Any) -> Any:
    try:
        return ray.get(call)
    except RayError as error:
        mendable = runtime.user_error(error)
        if mendable is not None:
            raise mendable from error
        return error
