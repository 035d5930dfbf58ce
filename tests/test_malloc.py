"""Memory that was freed stays until it is given back, measured in a process of its own."""

import json
import platform
import subprocess
import sys

import pytest

from core.paths import PROJECT

LIFE = """
import json
import numpy as np
import psutil
from core.training.malloc import keep_freed_memory, return_freed_memory

def megabytes():
    return psutil.Process().memory_info().rss / 2**20

keep_freed_memory()
told = [megabytes()]
np.ones(200 * 2**17)  # used and freed
told.append(megabytes())
return_freed_memory()
told.append(megabytes())
print(json.dumps(told))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep freed memory")
def test_freed_memory_is_kept_until_it_is_given_back():
    done = subprocess.run(
        [sys.executable, "-c", LIFE], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True
    )
    before, cached, after = json.loads(done.stdout)
    assert cached - before > 150
    assert after - before < 50
