"""Independent pieces of work in several processes of this machine: each takes the next piece when it is done with one"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import Synchronized
from typing import TypeVar

from rich.console import Console

from demur.types import UserError

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_workers(work: Callable[[Item], Made], items: Sequence[Item], count: int) -> Iterator[Made]:
    """What `work` makes of each item, in their order: in this process where `count` is 1, else in that many at once, each with its share of
    the cores, and with a GPU of its own where there are as many. The first error ends all of them. Raises UserError where one was killed.
    """
    count = min(count, len(items))
    if count <= 1:
        yield from map(work, items)
        return
    context, others = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    with ProcessPoolExecutor(count, context, begin, (count, context.Value("i", 0))) as pool:
        try:
            for future in [pool.submit(work, item) for item in items]:
                yield future.result()
        except BrokenProcessPool:
            raise UserError("a worker was killed, as for want of memory; give the same command again with fewer --workers") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()


def begin(count: int, turns: "Synchronized[int]") -> None:
    """Set a worker up: its cores, its GPU, and that it ends when the process that started it does."""
    import torch

    from demur import progress

    with turns.get_lock():
        number = turns.value
        turns.value += 1
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(torch.cuda.device_count())))).split(",")
    if len(gpus) >= count:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[number]
    torch.set_num_threads(max(torch.get_num_threads() // count, 1))
    progress.console = Console(stderr=True, force_terminal=False)  # several bars would overwrite each other
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)
