"""Workers on one machine or many: processes that read recordings, a core for each, replaced when they die.

On Ray's actors. Not on Ray Data: a clip's work is known only once it is opened, from milliseconds to hours, and a file
has to appear whole, be given up in time, and be named if it takes its process with it. That is a queue with one job a
worker, and someone who watches it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import re
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2

from emotion_model.files import lock
from emotion_model.processes import limit_cores, usable_cores

ANSWER_SECONDS = 10.0  # within which a cluster has to answer
CONNECTIONS = 5  # that are tried where a cluster cannot start what serves a client
GROWTH_SECONDS = 10.0  # after which a cluster is asked again how many cores it has
SIGN_SECONDS = 0.5  # between two signs of life; more of them would only cost time


class WorkersError(RuntimeError):
    """No worker can be had; the message says why and what to do."""


@dataclass(frozen=True)
class Ended:
    """The job is done, and its worker free."""


@dataclass(frozen=True)
class Died:
    """The worker died, or was ended, with the job undone."""

    reason: str


class Worker:
    """What runs in each process: an object of some class, whose methods are generators."""

    def __init__(self, kind: type, arguments: tuple[Any, ...]) -> None:
        self._core = take_core()
        if self._core is None:
            limit_cores(1)
            cv2.setNumThreads(1)
        self._reader = kind(*arguments)
        self._messages: queue.Queue[Any] = queue.Queue()

    def ready(self) -> None:
        """Answers once the process has started."""

    def run(self, method: str, arguments: tuple[Any, ...]) -> list[Any]:
        """Begin a job, a method and what to call it with; its first messages."""
        threading.Thread(target=self._work, args=(method, arguments), daemon=True).start()
        return self.more()

    def more(self) -> list[Any]:
        """The next messages of the job, as soon as there is one; the last of them is `Ended` or `Died`."""
        messages = [self._messages.get()]
        while not self._messages.empty():
            messages.append(self._messages.get())
        return messages

    def _work(self, method: str, arguments: tuple[Any, ...]) -> None:
        due = 0.0
        try:
            for message in getattr(self._reader, method)(*arguments):
                now = time.monotonic()
                if not getattr(message, "passing", False) or now >= due:  # of those that only say that it lives, a few
                    due = now + SIGN_SECONDS
                    self._messages.put(message)
            self._messages.put(Ended())
        except BaseException as error:
            self._messages.put(Died(str(error) or type(error).__name__))


def take_core() -> IO[str] | None:
    """Bind this process to a core that no other worker of this machine has; it is free again when the process ends.

    Both networks, OpenCV and the decoder start a thread for each core that they may use. So each of several workers has
    one, and they do not fight. None if all cores are taken, or the system does not know such a thing; or if a container
    has a share of the machine's cores, no matter which: others would choose the same ones.
    """
    if sys.platform != "linux" or usable_cores() < len(os.sched_getaffinity(0)):
        return None
    try:  # which machine this is: several may have their temporary files in one place
        machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    folder = Path(tempfile.gettempdir()) / f"emotion-archive-cores-{machine}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        return None  # somebody else's, who could have anything opened
    for core in sorted(os.sched_getaffinity(0)):
        file = (folder / str(core)).open("a")
        if not lock(file):
            file.close()
            continue
        for thread in Path("/proc/self/task").iterdir():  # jobs run in one that is there already
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), {core})
        return file
    return None


@contextlib.contextmanager
def _told_if_gone() -> Iterator[None]:
    """For whatever asks something of the cluster, which may have gone since it answered last."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, ConnectionError) and not type(error).__module__.startswith("grpc"):
            raise
        why = _cause(error).rstrip(".")
        raise WorkersError(
            f"The cluster has gone ({why}). What is done is kept: the same command goes on from there."
        ) from error


class Workers:
    """So many processes that read recordings.

    with Workers(Reader, (settings, folder), count=4) as workers:
        workers.start(job, "read", (source,))
        for job, message in workers.messages(timeout=1):
            ...
    """

    def __init__(
        self, kind: type, arguments: tuple[Any, ...], count: int | None = None, address: str = "local"
    ) -> None:
        """Connect to a cluster, or start one of this machine alone, and begin to start the workers.

        Args:
            kind: a class, made anew in each process with `arguments`; its methods are generators.
            arguments: for it.
            count: how many workers; one for each core by default, of machines that join later too.
            address: `local` for this machine, `auto` for the cluster that runs here, or `ray://HOST:PORT`.

        Raises:
            WorkersError: there is no such cluster.
        """
        self._start = (kind, arguments)
        self._ray = ray = _connected(address, count)
        cores = _cores(ray)
        self.count = count or cores
        self._grows, self._asked = count is None, time.monotonic()
        self._actor: Any = ray.remote(num_cpus=1 if self.count <= cores else 0)(Worker)
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}  # by what tells that they are ready
        self._working: dict[Any, tuple[Any, Any]] = {}  # job and actor, by the answer that is awaited
        self._failures = 0

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        actors = (*self._idle, *self._starting.values(), *(actor for _, actor in self._working.values()))
        for actor in actors if self._ray.is_initialized() else ():  # else `kill` would look for another cluster
            with contextlib.suppress(self._ray.exceptions.RayError, ConnectionError):
                self._ray.kill(actor)
        self._ray.shutdown()

    @property
    def idle(self) -> int:
        """How many workers wait for a job."""
        return len(self._idle)

    @_told_if_gone()
    def start(self, job: Any, method: str, arguments: tuple[Any, ...]) -> None:
        """Hand a job to an idle worker: a method of its object, and what to call it with.

        Raises:
            WorkersError: the cluster has gone.
        """
        actor = self._idle.pop()
        self._working[actor.run.remote(method, arguments)] = job, actor

    @_told_if_gone()
    def end(self, job: Any) -> None:
        """End the worker that has this job, at once.

        Raises:
            WorkersError: the cluster has gone.
        """
        for answer, (its_job, actor) in list(self._working.items()):
            if its_job is job:
                del self._working[answer]
                self._ray.kill(actor)

    def messages(self, timeout: float) -> Iterator[tuple[Any, Any]]:
        """What the workers have to say, with the job that it belongs to; waits so many seconds for something.

        Raises:
            WorkersError: workers do not start, or the cluster has gone.
        """
        for one in self._heard(timeout):
            if one in self._starting:
                self._started(one)
            elif one in self._working:
                job, messages = self._answered(one)
                yield from ((job, message) for message in messages)

    @_told_if_gone()
    def _heard(self, timeout: float) -> list[Any]:
        """What has an answer by now; workers that are missing begin to start."""
        if self._grows and time.monotonic() - self._asked > GROWTH_SECONDS:
            self.count, self._asked = max(self.count, _cores(self._ray)), time.monotonic()
        while len(self._idle) + len(self._starting) + len(self._working) < self.count:
            actor = self._actor.remote(*self._start)
            self._starting[actor.ready.remote()] = actor
        waiting = [*self._starting, *self._working]
        heard, _ = self._ray.wait(waiting, num_returns=1, timeout=timeout, fetch_local=False)
        if heard:  # and whoever else has something to say by now
            heard, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=False)
        return list(heard)

    @_told_if_gone()
    def _started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._failures += 1
            if self._failures > self.count + 2:
                raise WorkersError(f"No worker can be started: {_cause(error)}") from error
        else:
            self._failures = 0
            self._idle.append(actor)

    @_told_if_gone()
    def _answered(self, answer: Any) -> tuple[Any, list[Any]]:
        job, actor = self._working.pop(answer)
        try:
            messages = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor)
            return job, [Died(_cause(error))]
        if isinstance(messages[-1], Ended | Died):
            self._idle.append(actor)
        else:
            self._working[actor.more.remote()] = job, actor
        return job, messages


def _cores(ray: Any) -> int:
    """Of a cluster, as it is now."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _cause(error: Any) -> str:
    """What was wrong, in a line: the exception of the job, or what Ray says of the worker's end."""
    cause = getattr(error, "cause", None)
    lines = [line.strip() for line in str(cause or error).splitlines() if line.strip()]
    if not lines:
        return type(cause or error).__name__
    return lines[-1] if "creation task" in lines[0] else lines[0]  # what it could not start with stands last


def _connected(address: str, count: int | None = None) -> Any:
    """The `ray` module, connected to a cluster; one of this machine alone has room for so many workers."""
    _require_answer(address)
    if "ray" not in sys.modules:  # it looks at these when it is loaded, and never again
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
        _know_each_other(address)
    ray = importlib.import_module("ray")
    options: dict[str, Any] = {"logging_level": "error", "log_to_driver": False}
    if address == "local":  # its processes inherit the environment, so those that it starts at once are of use
        options |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "num_cpus": count}
        # Of what it would start beside the workers: who adds machines, who forwards logs, and who serves a page.
        node = ray._private.node.Node
        node.start_monitor = node.start_log_monitor = node.start_api_server = lambda *_, **__: None
    else:
        passed = {name: value for name, value in os.environ.items() if name.startswith(("EMOTION_", "KERAS_BACKEND"))}
        options["runtime_env"] = {"env_vars": passed}
    for left in reversed(range(CONNECTIONS)):
        try:
            ray.init(address, **options)
            break
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            first, *more = [line.strip() for line in str(error).splitlines() if line.strip()]
            if left and "Initialization failure" in first:
                # A cluster opens its door to clients before it can start anything for them, and where it is busy fails.
                ray.util.disconnect()
                time.sleep(1)
                continue
            why = f"{first} {more[-1]}" if more and first.endswith(":") else first
            raise WorkersError(f"No cluster at {address}: {why}") from error
    # What Ray has to say of a worker that dies is a page of text, on standard output. It is told by us, in a line.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    return ray


def _require_answer(address: str) -> None:
    """Refuse a cluster where nobody listens: Ray would try again for minutes."""
    match = re.fullmatch(r"(?:ray://)?([^/]+):(\d+)", address)
    if match:
        try:
            socket.create_connection((match[1], int(match[2])), timeout=ANSWER_SECONDS).close()
        except OSError as error:
            raise WorkersError(f"No cluster at {address}: {error}.") from error


def _know_each_other(address: str) -> None:
    """Let processes talk to each other only with a token: one of this run alone, or the one that the cluster has."""
    if "RAY_AUTH_MODE" in os.environ:
        return
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if address == "local" and not named:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    elif named or (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_MODE"] = "token"
