"""``python -m polos.cli``, the same as ``polos``."""

from polos.cli.commands import main

if __name__ == "__main__":
    main(prog_name="polos")
