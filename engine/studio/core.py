"""What every use case shares: the workspace and its lock, the store, the jobs, and the one lane to the device.

Knows how a model is loaded once and kept; knows nothing of what it is used for.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from engine import device, lease, locks
from engine.jobs import Jobs, JobView
from engine.store import Store
from engine.types import Busy
from engine.workspace import Workspace

if TYPE_CHECKING:
    from engine.adapters import AdapterHost

ROOM = 1.3  # times its weights: what a model needs to speak, as a rule of thumb


class Core:
    """An open workspace. One process holds it; closing releases the lock, the database and the running jobs."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        self.workspace = workspace
        self._clock = clock
        self._device = device
        self._hosts: dict[str, AdapterHost] = {}
        # Rendering, screening and speaking take turns; two pages never share a model's state. Trainings are other
        # processes: with them the device is shared by its lease.
        self._lane = threading.RLock()
        self._has_device = False  # by whoever has the lane
        self._stack = ExitStack()
        try:
            workspace.create()
            self._stack.enter_context(locks.hold(workspace.lock, what="Earmark"))
            self.store = self._stack.enter_context(Store(workspace.database))
        except BaseException:
            self._stack.close()
            raise
        self._stack.callback(self._forget_models)
        self._jobs = Jobs(clock)
        self._stack.callback(self._jobs.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the jobs, close the database, release the workspace. Trainings go on: they are their own processes."""
        self._stack.close()

    # ---------------------------------------------------------------------------------------------------------- jobs
    def job(self, job_id: str) -> JobView:
        """How a job stands. Raises NotFound for one of an earlier process."""
        return self._jobs.view(job_id)

    def jobs(self) -> list[JobView]:
        """The jobs of this process, newest first."""
        return self._jobs.views()

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop at its next step; what it finished stays."""
        self._jobs.cancel(job_id)

    # -------------------------------------------------------------------------------------------------------- device
    @contextmanager
    def host(
        self,
        backend: str,
        *,
        wait_sec: float = -1,
        what: str = "rendering",
        on_wait: Callable[[str], None] | None = None,
        give_up: Callable[[], None] | None = None,
    ) -> Iterator[AdapterHost]:
        """The loaded base model of a backend, and its device, for the block alone; `wait_sec` -1 waits for ever.

        Raises Busy, naming who has the device, if it is not free within `wait_sec`. While a training has it, `on_wait`
        is told so in a sentence, and `give_up` is called every now and then and may raise.
        """
        if not self._in_lane(wait_sec, on_wait, give_up):
            raise Busy("A sweep is rendering; try again when it is done, or cancel it on the Sweep page.")
        try:
            with ExitStack() as stack:
                if not self._has_device:
                    stack.enter_context(self._device_leased(wait_sec, what, on_wait, give_up))
                yield self._loaded(backend)
        finally:
            self._lane.release()

    def _in_lane(
        self, wait_sec: float, on_wait: Callable[[str], None] | None, give_up: Callable[[], None] | None
    ) -> bool:
        """Take the lane; who waits for ever may be told to give up meanwhile."""
        if wait_sec >= 0 or give_up is None:
            return self._lane.acquire(timeout=wait_sec)
        if not self._lane.acquire(blocking=False):
            if on_wait is not None:
                on_wait("Waits for another sweep")
            while not self._lane.acquire(timeout=lease.POLL_SEC):
                give_up()
        return True

    @contextmanager
    def _device_leased(
        self,
        wait_sec: float,
        what: str,
        on_wait: Callable[[str], None] | None,
        give_up: Callable[[], None] | None,
    ) -> Iterator[None]:
        patience = lease.FOR_EVER if wait_sec < 0 else wait_sec
        name = device.resolve(self._device)
        with lease.hold(self.workspace, (name,), what=what, wait_sec=patience, on_wait=on_wait, give_up=give_up):
            self._has_device = True
            try:
                yield
            finally:
                self._has_device = False

    def unload(self) -> None:
        """Let go of loaded models, if none is in use: a training is about to need a GPU's memory."""
        if not self._lane.acquire(blocking=False):
            return  # in use; the training waits for the lease as well
        try:
            if self._has_device or not self._hosts:
                return
            self._forget_models()
            free_memory()
        finally:
            self._lane.release()

    def _let_go(self, adapter_sha256: str) -> None:
        """Forget an adapter whose files are about to be deleted: what is mapped into memory keeps its room on the disk.
        While something is rendered it stays; its room comes when the models are let go.
        """
        if not self._lane.acquire(blocking=False):
            return
        try:
            for host in self._hosts.values():
                if adapter_sha256 in host.loaded:
                    host.remove(adapter_sha256)
        finally:
            self._lane.release()

    def _loaded(self, backend: str) -> AdapterHost:
        if backend not in self._hosts:
            from engine import backends, environments
            from engine.adapters import AdapterHost

            self._let_go_for(backend)
            used = environments.interpreter(self.workspace, backend)
            self._hosts[backend] = AdapterHost(backends.load(backend, device=self._device, interpreter=used))
        return self._hosts[backend]

    def _let_go_for(self, backend: str) -> None:
        """Let go of the other models where this one would not fit beside them; where nobody knows, they stay."""
        from engine import backends
        from engine.backends import sizes

        if not self._hosts:
            return
        size = sizes.of(backend) if backend in backends.INFO else None
        memory = device.memory(device.resolve(self._device)) if size else None
        if size and memory and memory.free_bytes < ROOM * size.parameters * size.bytes_a_weight:
            self._forget_models()
            free_memory()

    def _forget_models(self) -> None:
        """Those in processes of their own end with them."""
        from engine.backends.offers import HostsAdapters

        for host in self._hosts.values():
            if isinstance(host.model, HostsAdapters):
                host.model.close()
        self._hosts.clear()


def free_memory() -> None:
    """Give the memory of models that nobody holds any more back to the device."""
    gc.collect()
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()
