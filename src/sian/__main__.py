"""``python -m sian`` is ``sian``."""

from sian.cli.main import run

if __name__ == "__main__":
    run()
