"""What this machine is: versions, processors, memory, disk and accelerators."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from evomerge.runs.setup.cgroup import memory_limits
from evomerge.runs.versions import versions_now


@dataclass(frozen=True)
class Device:
    """Something that candidates can be evaluated on.

    Args:
        name: What ``execution.device`` calls it.
        model: What it is.
        total_bytes, free_bytes: Its memory.
    """

    name: str
    model: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Machine:
    """The machine that evomerge runs on.

    Args:
        system: Operating system and architecture.
        versions: Package → version, evomerge and Python among them.
        processors: Processors that this process may use.
        devices: The processor's memory first, then accelerators.
        disk_folder: Working folder.
        disk_free_bytes: What can still be written there.
    """

    system: str
    versions: dict[str, str]
    processors: int
    devices: tuple[Device, ...]
    disk_folder: Path
    disk_free_bytes: int


def inspect_machine() -> Machine:
    """Return what this machine is; loads torch."""
    folder = Path.cwd()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        versions=versions_now(),
        processors=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        devices=(_processor(), *accelerators()),
        disk_folder=folder,
        disk_free_bytes=shutil.disk_usage(folder).free,
    )


def free_memory() -> int:
    """Return the bytes of main memory that this process and its children can still take."""
    return min([_available(), *(limit.free_bytes for limit in memory_limits())])


def _available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:  # not Linux
        pass
    return _installed()


def _installed() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _processor() -> Device:
    total = min([_installed(), *(limit.limit_bytes for limit in memory_limits())])
    return Device("cpu", _processor_model(), total, free_memory())


def _processor_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def accelerators() -> list[Device]:
    """Return the GPUs of this machine; loads torch."""
    import torch

    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found.append(Device(f"cuda:{index}", torch.cuda.get_device_name(index), total, free))
    return found
