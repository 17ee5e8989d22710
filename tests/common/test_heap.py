"""Memory that is kept is not fetched from the kernel again, and the command line keeps it."""

import ctypes
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
{before}
def faults():
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(16_000_000)  # 64 MB, written and freed
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin
faults()
print(faults())
"""
PAGES = 20 * 64_000_000 // 4096


def glibc() -> bool:
    return sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallopt")


def faults(before: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS.format(before=before)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not glibc(), reason="the C library is not glibc")
def test_memory_is_fetched_once():
    assert faults("from denseil import keep_heap; assert keep_heap()") < PAGES / 20


@pytest.mark.slow
@pytest.mark.skipif(not glibc(), reason="the C library is not glibc")
def test_the_command_line_does_it():
    before = "from denseil.cli import main; sys.argv = ['denseil', 'version']; main()"
    assert faults(before) < PAGES / 20
    assert faults(before.replace("main()", "main(['version'])")) > PAGES / 2  # not in another program's process


def test_elsewhere_it_says_no(monkeypatch: pytest.MonkeyPatch):
    from denseil.common.heap import keep_heap

    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_heap() is False
