"""What ``python -m routerlib`` runs: the command."""

from routerlib.cli import entry

if __name__ == "__main__":
    entry()
