"""The node and the command: kept state, kills, busy ports, parents that die."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from contracts.localchain.anvil import DEFAULT_PORT, Anvil, AnvilFailed, PortBusy, free_port
from contracts.localchain.driver import Driver
from contracts.localchain.node import FolderBusy, Node, OtherMarket

pytestmark = pytest.mark.e2e
PROJECT = Path(__file__).resolve().parents[3]
CHAIN_ID = 31337


def eventually(condition, *, within_s=30.0):
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        threading.Event().wait(0.02)
    return found


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def saved_head(folder):
    try:
        state = json.loads((folder / "chain.json").read_text())
    except (OSError, ValueError):
        return -1
    return int(state["best_block_number"])


@pytest.fixture
def node(tmp_path):
    with Node(port=free_port(), chain_id=CHAIN_ID, seed=41, folder=tmp_path) as running_node:
        yield running_node


def test_the_chain_survives_a_kill_less_its_last_blocks(tmp_path):
    first = Node(port=free_port(), chain_id=CHAIN_ID, seed=41, folder=tmp_path)
    mined = Driver(first.market, chain=first.chain).steps(30)
    kept = mined[9].number
    eventually(lambda: saved_head(tmp_path) >= kept)
    first.anvil.kill()
    first.stop()

    with Node(port=free_port(), chain_id=CHAIN_ID, folder=tmp_path) as second:
        assert second.resumed
        assert second.market == first.market
        head = second.chain.head()
        assert kept <= head <= mined[-1].number
        again = Driver(second.market, chain=second.chain).step()
        assert again.number == head + 1
        same = [block for block in mined if block.number == head + 1]
        for block in same:
            assert again.noise == block.noise


def test_a_torn_state_file_is_replaced_by_the_last_whole_one(tmp_path):
    with Node(port=free_port(), chain_id=CHAIN_ID, seed=41, folder=tmp_path) as first:
        Driver(first.market, chain=first.chain).steps(3)
        head = first.chain.head()
    state = tmp_path / "chain.json"
    state.write_bytes(state.read_bytes()[:-1_000])

    with Node(port=free_port(), chain_id=CHAIN_ID, folder=tmp_path) as second:
        assert second.resumed
        assert second.chain.head() == head


def test_a_folder_without_any_whole_state_is_built_anew(tmp_path):
    with Node(port=free_port(), chain_id=CHAIN_ID, seed=41, folder=tmp_path) as first:
        market = first.market
    (tmp_path / "chain.good.json").unlink()
    (tmp_path / "chain.json").write_text("{")

    with Node(port=free_port(), chain_id=CHAIN_ID, seed=41, folder=tmp_path) as second:
        assert not second.resumed
        assert second.market == market


def test_a_state_from_before_the_market_is_built_anew_at_the_same_addresses(tmp_path):
    with Node(port=free_port(), chain_id=CHAIN_ID, seed=41, folder=tmp_path) as first:
        market = first.market
    state = tmp_path / "chain.json"
    state.unlink()
    with Anvil(port=free_port(), chain_id=CHAIN_ID, state=state):
        pass  # leaves the state of an empty chain

    with Node(port=free_port(), chain_id=CHAIN_ID, folder=tmp_path) as second:
        assert not second.resumed
        assert second.market == market


def test_a_folder_serves_one_node_and_one_market(node, tmp_path):
    with pytest.raises(FolderBusy, match="in use by another localchain"):
        Node(port=free_port(), chain_id=CHAIN_ID, folder=tmp_path)
    node.stop()
    with pytest.raises(OtherMarket, match="seed 41, not 42"):
        Node(port=free_port(), chain_id=CHAIN_ID, seed=42, folder=tmp_path)
    with pytest.raises(OtherMarket, match="chain id 31337, not 56"):
        Node(port=free_port(), chain_id=56, folder=tmp_path)


def test_a_busy_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortBusy, match=f"port {port} .* is busy: .* --port"):
            Anvil(port=port, chain_id=CHAIN_ID)


def test_of_nodes_that_want_one_port_at_one_moment_one_has_it_and_the_others_say_so():
    port, told, over = free_port(), queue.Queue(), threading.Event()
    together = threading.Barrier(6)

    def start():  # a node lives as long as the thread that started it
        together.wait()
        try:
            with Anvil(port=port, chain_id=CHAIN_ID) as node:
                told.put(node.pid)
                over.wait()
        except (PortBusy, AnvilFailed) as error:
            told.put(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        said = [told.get(timeout=30) for _ in threads]
        [pid] = [each for each in said if not isinstance(each, Exception)]
        refusals = [each for each in said if isinstance(each, PortBusy)]
        assert len(refusals) == len(threads) - 1
        assert running(pid)
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


def test_where_nobody_named_a_port_a_busy_one_is_passed_over_and_the_next_start_keeps_it(tmp_path):
    options = ["--write-market", str(tmp_path / "market.json"), "--state-dir", str(tmp_path / "s")]

    def url_of(command):
        said = command.line("localchain ready")
        command.process.send_signal(signal.SIGTERM)
        assert command.process.wait(timeout=15) == 0
        return next(word for word in said.split() if word.startswith("http="))

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # something else has it: it is as busy
            taken.bind(("127.0.0.1", DEFAULT_PORT))
            taken.listen()
        with Command(*options) as command:
            first = url_of(command)
    with Command(*options) as command:
        again = url_of(command)

    assert first == again
    assert not first.endswith(f":{DEFAULT_PORT}")


def test_the_node_dies_with_the_process_that_started_it():
    script = (
        "from contracts.localchain.anvil import Anvil, free_port\n"
        "import sys\n"
        f"node = Anvil(port=free_port(), chain_id={CHAIN_ID})\n"
        "print(node.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(parent.stdout.readline())
    assert running(pid)

    parent.kill()
    parent.communicate()

    eventually(lambda: not running(pid))


class Command:
    """`manage.py localchain` as a process."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "localchain", *options],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self.process.stdout as stream:
            for line in stream:
                self.lines.put(line.rstrip())

    def line(self, start):
        while True:
            line = self.lines.get(timeout=30)
            if line.startswith(start):
                return line

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.process.kill()
        self.process.wait()


def test_the_command_writes_its_market_file_mines_and_stops_when_told(tmp_path):
    file, folder = tmp_path / "market.json", tmp_path / "state"
    options = ["--port", "0", "--write-market", str(file), "--state-dir", str(folder)]
    with Command(*options, "--seed", "43", "--block-time", "0.1") as command:
        ready = command.line("localchain ready")
        assert "seed=43" in ready
        assert "new" in ready
        chain = json.loads(file.read_text())["chain"]
        assert chain["local"] is True
        assert chain["blockTimeMs"] == 100
        eventually(lambda: saved_head(folder) >= 12)
        command.process.send_signal(signal.SIGTERM)
        assert command.process.wait(timeout=15) == 0
    kept = saved_head(folder)

    with Command(*options) as command:
        assert f"seed=43 block={kept} resumed" in command.line("localchain ready")
        command.process.send_signal(signal.SIGINT)
        assert command.process.wait(timeout=15) == 0


def test_the_command_says_what_is_wrong_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for options, said in (
            (["--port", str(port)], f"port {port} on 127.0.0.1 is busy"),
            (["--block-time", "0"], "--block-time must be"),
        ):
            result = subprocess.run(
                [sys.executable, "manage.py", "localchain", *options],
                cwd=PROJECT,
                capture_output=True,
                text=True,
            )
            assert result.returncode == 1
            assert said in result.stderr
            assert len(result.stderr.strip().splitlines()) == 1
