"""What a model may do in a worker; run by `test_worker_signals`, for it changes its process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

from recsearch.tuning.terminate import survive_terminate


def sleep() -> None:
    time.sleep(3600)


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    # As Ray's processes are started.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    survive_terminate()
    for method in ("fork", "spawn", "forkserver"):
        child = multiprocessing.get_context(method).Process(target=sleep)
        child.start()
        child.terminate()
        child.join(60)
        tell(method, child.exitcode)
        child.kill()
    program = subprocess.Popen(["sleep", "3600"])
    program.terminate()
    tell("program", program.wait(60))
    forked = os.fork()
    if forked == 0:
        tell("handler", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        os._exit(0)
    os.waitpid(forked, 0)
    os.kill(os.getpid(), signal.SIGTERM)
    tell("alive")


if __name__ == "__main__":
    sys.exit(main())
