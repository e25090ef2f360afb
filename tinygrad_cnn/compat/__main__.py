"""``python -m tinygrad_cnn.compat script.py ARGS``: run a PyTorch program on this library."""

import sys

from tinygrad_cnn.compat import run_script

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit("usage: python -m tinygrad_cnn.compat script.py [arguments of the script ...]")
    run_script(sys.argv[1], sys.argv[2:])
