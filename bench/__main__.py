"""`python -m bench PART` measures one part and prints lines of JSON: what it is doing, then its figures."""

import json
import sys

from bench.parts import PARTS


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    say(figures=PARTS[sys.argv[1]](lambda text: say(doing=text)))
