"""`python -m <package>.manage` is the console script under its other name."""

from .cli import main

main()
