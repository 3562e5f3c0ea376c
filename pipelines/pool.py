"""Actors that work through a queue, and what becomes of a task whose actor dies."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayError

from pipelines import runtime

Task = TypeVar("Task")


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


def _outcome(call: Any) -> Any:
    try:
        return ray.get(call)
    except RayError as error:
        mendable = runtime.user_error(error)
        if mendable is not None:
            raise mendable from error
        return error
