"""`python -m softprompt`: the command line."""

from softprompt.cli.main import main

if __name__ == "__main__":
    main()
