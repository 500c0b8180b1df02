"""``python -m ecg_advmask`` is the command ``ecg-advmask``."""

from ecg_advmask.cli import main

main(prog_name="ecg-advmask")
