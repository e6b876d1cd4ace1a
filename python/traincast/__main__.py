"""`python -m traincast` is the shell command `traincast`."""

from traincast.cli import main

if __name__ == "__main__":  # worker processes import the main module again
    main()
