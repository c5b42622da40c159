"""A harmless process: says it lives, notes that it was told to end, and ends."""

import os
import signal
import sys
import time
from pathlib import Path


def main():
    name, note = sys.argv[1], Path(sys.argv[2])
    if name == "--note":
        note.write_text("chain stopped")
        return

    def end(*_):
        with note.open("a") as file:
            file.write(f"{name}\n")
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    note.with_name(f"{name}.listens").touch()  # from now on it notes its end
    seen = sorted(n for n in os.environ if n.startswith(("KEYSTORE", "SECRET")))
    print(f"alive sees={','.join(seen)}", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
