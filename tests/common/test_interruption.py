import os
import signal
import subprocess
import sys

import pytest

from workflow_scripts.common.cli import INTERRUPTED_STATUS
from workflow_scripts.common.interruption import Interrupted, Interruption


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_warning_is_noted_until_the_training_looks(number):
    with Interruption() as interruption:
        interruption.check()
        os.kill(os.getpid(), number)
        assert interruption.requested
        with pytest.raises(Interrupted, match=signal.Signals(number).name):
            interruption.check()


def test_outside_the_former_handlers_are_back():
    before = signal.getsignal(signal.SIGTERM)
    with Interruption():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_interrupted_command_has_a_status_of_its_own():
    program = (
        "import os, signal\n"
        "from workflow_scripts.common.cli import run\n"
        "from workflow_scripts.common.interruption import Interruption\n"
        "def main(argv=None):\n"
        "    with Interruption() as interruption:\n"
        "        os.kill(os.getpid(), signal.SIGUSR1)\n"
        "        interruption.check()\n"
        "run(main, [])\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == INTERRUPTED_STATUS
    assert "SIGUSR1" in result.stderr
    assert "Traceback" not in result.stderr
